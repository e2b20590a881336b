// Package gen is the home of the generated wire packages, one per AWS service.
//
// To serve one more action: add its name to tools/awsgen/actions/SERVICE.txt, run
// go generate, and implement the method that the service's interface has got.
// What the public model lacks or says wrongly is put right in
// tools/awsgen/overlay/SERVICE.json: members that are newer than the model, and
// those that are secrets and must be decoded as core.Secret.
package gen

//go:generate go -C ../../../tools/awsgen run . -out ../../internal/aws/gen
