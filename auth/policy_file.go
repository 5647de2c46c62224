package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxPolicyFile bounds a policy file; the largest of OpenStack's samples is
// some 200 kB.
const maxPolicyFile = 1 << 20

// fileRule is one rule as a file has it.
type fileRule struct {
	name  string
	check check
	where string // file:line
	// problem is what of the rule was not understood and counts as false.
	problem error
}

// stamp tells one state of a file from another.
type stamp struct {
	path string
	size int64
	at   time.Time
}

// stamps lists the policy files in the order they are read: the file, then
// those of the directories by name. What does not exist is left out. Hidden
// files and directories in the directories are not read.
func stamps(path string, dirs []string) ([]stamp, error) {
	var found []stamp
	add := func(name string) error {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.IsDir():
			found = append(found, stamp{path: name, size: info.Size(), at: info.ModTime()})
		}
		return nil
	}
	if path != "" {
		if err := add(path); err != nil {
			return nil, err
		}
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir) // sorted by name
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := add(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// readPolicy reads the rules of one file, YAML or JSON. An error means that
// nothing of the file can be trusted.
func readPolicy(path string) ([]fileRule, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxPolicyFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxPolicyFile)
	}
	rules, err := parsePolicy(data, path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return rules, nil
}

func parsePolicy(data []byte, path string) ([]fileRule, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil, nil // an empty file, or one with comments only
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("a policy file maps names to rules")
	}
	var rules []fileRule
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: the name of a rule is text", key.Line)
		}
		if slices.ContainsFunc(rules, func(r fileRule) bool { return r.name == key.Value }) {
			return nil, fmt.Errorf("line %d: rule %q is there twice", key.Line, key.Value)
		}
		c, problem, err := parseNode(value)
		if err == nil && errors.Is(problem, errRemote) {
			err = errRemote
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: rule %q: %w", value.Line, key.Value, err)
		}
		rules = append(rules, fileRule{
			name: key.Value, check: c, problem: problem,
			where: fmt.Sprintf("%s:%d", path, value.Line),
		})
	}
	return rules, nil
}

// parseNode reads a rule. What a problem tells of counts as false, as in
// oslo.policy. An error refuses the file: oslo.policy reads no value, `no` or an
// unquoted ! as "always", which nobody means who writes it.
func parseNode(n *yaml.Node) (c check, problem, err error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str":
		c, problem = parseRule(n.Value)
		return c, problem, nil
	case n.Kind == yaml.SequenceNode:
		var list []any
		if err := n.Decode(&list); err != nil {
			return nil, nil, err
		}
		c, problem = parseListRule(list)
		return c, problem, nil
	case n.ShortTag() == "!!null":
		return nil, nil, errors.New(`it is empty: write "" to allow everybody, "!" to allow nobody`)
	}
	return nil, nil, errListRule
}
