package ec2

// refusal is a parameter of a request that asks for what is not served.
type refusal struct {
	parameter string
	// given: it asks for something that would have no effect.
	given bool
}

// refuse refuses the first parameter that asks for what is not served, rather
// than store what nothing would act on.
func refuse(list ...refusal) error {
	for _, r := range list {
		if r.given {
			return errNotServed(r.parameter)
		}
	}
	return nil
}

// not reports whether a text was sent and says something else than the one value
// that is served.
func not(p *string, served string) bool { return p != nil && *p != "" && *p != served }
