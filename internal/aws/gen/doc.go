// Package gen is the home of the generated wire packages, one per AWS service.
// Which actions they hold is listed in tools/awsgen/actions.
package gen

//go:generate go -C ../../../tools/awsgen run . -out ../../internal/aws/gen
