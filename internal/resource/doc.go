// Package resource holds what Larder stores: one file per resource, each with a
// Spec (written by API operations, or for a Node by the controllers) and a
// Status (written by its one controller). The wire types of the API are
// elsewhere (internal/aws/gen); the two are translated in the services.
//
// Every record is JSON in the store. Fields are only added, never renamed, and
// their zero value must mean what it meant before the field existed.
package resource
