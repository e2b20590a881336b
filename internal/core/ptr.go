package core

// Ptr returns a pointer to v, for the optional fields of wire types.
func Ptr[T any](v T) *T { return &v }

// Val is what p points to, or the zero value.
func Val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
