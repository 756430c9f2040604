package conf

import (
	"os"
	"strings"
	"testing"
)

// TestManual checks that the manual page has every stanza, with an example that is
// right.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/man/tend-job.5")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	block, inBlock := "", false
	for line := range strings.Lines(string(page)) {
		text := strings.NewReplacer(`\(dq`, `"`, `\-`, "-", `\e`, `\`).Replace(line)
		switch {
		case strings.HasPrefix(line, ".Bd -literal -offset indent"):
			block, inBlock = "", true
		case strings.HasPrefix(line, ".Ed") && inBlock:
			examples, inBlock = append(examples, block), false
		case inBlock:
			block += text
		case strings.HasPrefix(line, ".Dl ") && !strings.Contains(line, "echo manual"):
			examples = append(examples, strings.TrimPrefix(text, ".Dl "))
		}
	}
	begin := make(map[string]bool)
	for _, example := range examples {
		if class, found := new(Parser).Parse("x", "tend-job.5", []byte(example)); class == nil || len(found) > 0 {
			t.Errorf("%s%v", example, found)
		}
		begin[strings.Fields(example)[0]] = true
	}
	for _, s := range stanzas {
		if !begin[s.name] {
			t.Errorf("no example of %s", s.name)
		}
		if !strings.Contains(string(page), ".It Ic "+s.name) {
			t.Errorf("%s is not described", s.name)
		}
	}
}
