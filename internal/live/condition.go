package live

// Condition is one of an object's conditions, as Kubernetes and Longhorn write them.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Conditions are those of one object.
type Conditions []Condition

// Ready reports whether the condition Ready is true.
func (c Conditions) Ready() bool {
	for _, condition := range c {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}
