// Package compat runs the clients that users have, unmodified, against Larder: the
// AWS CLI, boto3, the AWS SDKs for Go and JavaScript, and Terraform where it is
// installed. Each goes through the life of a cluster and of a group: create, wait,
// describe, modify, tag, delete.
package compat
