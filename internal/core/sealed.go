package core

// Sealed is a secret as it may be stored: ciphertext of package seal, base64 in
// JSON. It says nothing without the key of the deployment.
type Sealed []byte

// IsZero reports whether nothing is sealed here.
func (s Sealed) IsZero() bool { return len(s) == 0 }
