package resource

// ParameterGroup is a cache parameter group. Default groups are not stored.
// Key: REGION/NAME.
type ParameterGroup struct {
	Region, Name, Family, Description string
	// Generation grows with every change of Values.
	Generation int64
	// Values are the parameters that the user changed, by name.
	Values map[string]string
	Tags   map[string]string
}
