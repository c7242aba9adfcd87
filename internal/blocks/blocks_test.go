package blocks_test

import (
	"os"
	"path/filepath"
	"testing"

	"ha-iris/internal/blocks"
)

// sparse writes bytes at offsets into a file of the given size.
func sparse(t *testing.T, size int64, at map[int64]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.img")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for offset, text := range at {
		if _, err := file.WriteAt([]byte(text), offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiffering_CountsBlocks(t *testing.T) {
	t.Parallel()
	const far = 1 << 30
	whole := sparse(t, far+100, map[int64]string{0: "a", 9000: "b", far: "c"})
	for name, test := range map[string]struct {
		other map[int64]string
		want  int
	}{
		"the same":              {map[int64]string{0: "a", 9000: "b", far: "c"}, 0},
		"zeros in a hole":       {map[int64]string{0: "a", 9000: "b", far: "c", 50000: "\x00\x00"}, 0},
		"one differs":           {map[int64]string{0: "a", 9000: "x", far: "c"}, 1},
		"two in one block":      {map[int64]string{0: "a", 9000: "x", 9002: "y", far: "c"}, 1},
		"one more":              {map[int64]string{0: "a", 9000: "b", far: "c", 70000: "d"}, 1},
		"the short last, and 0": {map[int64]string{9000: "b", far: "x"}, 2},
	} {
		other := sparse(t, far+100, test.other)
		if got, err := blocks.Differing([]string{whole, other, whole}); err != nil || got != test.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, test.want)
		}
	}
	if _, err := blocks.Differing([]string{whole, whole + ".missing"}); err == nil {
		t.Error("a file that is missing is no error")
	}
}
