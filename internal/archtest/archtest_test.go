// Package archtest holds the code against the arrows of doc/architecture.md:
// who may import whom, and what nobody may do.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stowage/stowage"

// may says what of the project a package may import, besides the root package;
// a name that ends in /... stands for all below. A package that is not here
// may import nothing of the project.
var may = map[string][]string{
	"engine":                         {"drivers", "engine/..."},
	"engine/chunk":                   {},
	"engine/codec":                   {},
	"engine/seal":                    {"engine/chunk"},
	"engine/pack":                    {"engine/chunk", "engine/codec", "engine/seal"},
	"engine/manifest":                {"engine/chunk", "engine/codec", "engine/seal"},
	"engine/cinderbackup":            {},
	"engine/cinderbackup/cindertest": {},
	"drivers/file":                   {"drivers"},
	"drivers/dir":                    {"drivers"},
	"drivers/swift":                  {"drivers"},
	"drivers/rbd":                    {"drivers"},
	"drivers/lvm":                    {"drivers"},
	"drivers/drivertest":             {"drivers"},
	"cloud/openstack":                {"cloud"},
	"cloud/embedded":                 {"cloud"},
	"cloud/cloudtest":                {"cloud"},
	"rpc/rpctest":                    {"rpc"},
	"timetable":                      {},
	"retention":                      {},
	"report":                         {},
	"mail":                           {},
	"service":                        {"auth", "cloud", "db", "mail", "report", "retention", "rpc", "timetable", "webhook"},
	"webhook":                        {},
	"api":                            {"api/openapi", "auth", "cloud", "internal/logging"},
	"api/hp":                         {"api", "api/openapi", "auth", "db", "service"},
	"api/vendor":                     {"api", "api/openapi", "auth", "db", "report", "service"},
	"manager":                        {"cloud", "db", "drivers", "engine", "engine/cinderbackup", "engine/manifest", "engine/seal", "mount", "rpc", "service", "webhook"},
	"mount":                          {},
	"mount/door":                     {},
	"mount/mounttest":                {},
	"api/openapi":                    {},
	"catalog":                        {"db", "drivers", "engine", "engine/cinderbackup", "engine/manifest", "engine/seal"},
	"internal/contract":              {"api/openapi"},
	"internal/harness":               {"..."},
	"internal/e2e":                   {"..."},
	"internal/e2e/guest":             {},
	"internal/e2e/guest/agent":       {"internal/e2e/guest"},
	"internal/soak":                  {"..."},
	"cmd/stowage":                    {"..."},
	"bench":                          {"drivers", "drivers/rbd", "drivers/swift", "engine", "engine/manifest", "engine/seal"},
	"bench/lvm":                      {"drivers", "drivers/lvm", "engine", "engine/manifest", "engine/seal"},
	"internal/stacktest":             {},
	"internal/archtest":              {},
	"internal/config":                {},
	"internal/logging":               {},
	"":                               {},
	"auth":                           {},
	"cloud":                          {},
	"db":                             {},
	"drivers":                        {},
	"rpc":                            {},
}

// Where the environment, the process's arguments and exits belong.
var mainOnly = []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.Exit", "os.Args", "flag.Parse", "log.Fatal"}

func TestArrowsPointDownward(t *testing.T) {
	each(t, func(pkg, file string, f *ast.File) {
		allowed, known := may[pkg]
		if !known {
			t.Errorf("%s: package %q has no place in the table", file, pkg)
			return
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			inside, ours := strings.CutPrefix(path, module)
			inside = strings.TrimPrefix(inside, "/")
			if !ours || inside == "" {
				if pkg == "" && strings.Contains(strings.Split(path, "/")[0], ".") {
					t.Errorf("%s: the root package imports %s; it uses the standard library only", file, path)
				}
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool {
				below, all := strings.CutSuffix(a, "...")
				return a == inside || all && strings.HasPrefix(inside, below)
			}) {
				t.Errorf("%s: package %q may not import %q", file, pkg, inside)
			}
		}
	})
}

func TestOnlyMainReadsTheWorld(t *testing.T) {
	each(t, func(pkg, file string, f *ast.File) {
		if strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "internal/") || strings.HasPrefix(pkg+"/", "bench/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(mainOnly, x.Name+"."+s.Sel.Name) {
				t.Errorf("%s uses %s.%s", file, x.Name, s.Sel.Name)
			}
			return true
		})
	})
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	each(t, func(pkg, _ string, f *ast.File) { said[pkg] = said[pkg] || f.Doc != nil })
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %q has no comment", pkg)
		}
	}
}

// each parses every file that is no test.
func each(t *testing.T, fn func(pkg, file string, f *ast.File)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "var" || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if pkg == "." {
			pkg = ""
		}
		seen++
		fn(pkg, rel, f)
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("%d files seen: %v", seen, err)
	}
}
