package e2e

import (
	"archive/tar"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

// tarNames lists what an archive holds.
func tarNames(t testing.TB, archive string) []string {
	t.Helper()
	var names []string
	for reader := tar.NewReader(strings.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
