package standin

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// mergePatch is the JSON merge patch that turns one object into the other.
func mergePatch(before, after any) ([]byte, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	changed, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	patch, err := jsonpatch.CreateMergePatch(old, changed)
	if err != nil {
		return nil, fmt.Errorf("compare objects: %w", err)
	}
	return patch, nil
}
