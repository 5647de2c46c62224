package vendor

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stowage/stowage/api/openapi"
	"github.com/stowage/stowage/internal/contract"
)

func TestTheDocumentIsValid(t *testing.T) {
	if _, err := contract.New(map[string]*openapi.Document{base: Document()}); err != nil {
		t.Error(err)
	}
}

func TestEveryRouteIsToldOfOnce(t *testing.T) {
	ids, left := map[string]bool{}, map[string]string{}
	for _, g := range groups {
		for at, told := range g.routes {
			if left[at] != "" {
				t.Errorf("%s is told of in %s and in %s", at, left[at], g.name)
			}
			left[at] = g.name
			if told.is == "" || strings.HasSuffix(told.is, ".") {
				t.Errorf("%s: what it does is told as %q", at, told.is)
			}
			if told.example != "" && !json.Valid([]byte(told.example)) || told.sends != nil && told.example == "" {
				t.Errorf("%s: the example is %q", at, told.example)
			}
		}
	}
	for _, r := range routes() {
		at, id := r.method+" "+r.path, operationID(r)
		if left[at] == "" {
			t.Errorf("%s is not told of: add it to the group of its resource (described_*.go)", at)
		}
		delete(left, at)
		if ids[id] {
			t.Errorf("%s: there is another %s", at, id)
		}
		ids[id] = true
		if Document().Paths[base+r.path][strings.ToLower(r.method)] == nil {
			t.Errorf("%s is not in the document", at)
		}
	}
	for at := range left {
		t.Errorf("%s is told of, and is no route", at)
	}
}

// Each value of an enumeration that an answer may have, and each word on a field,
// is about a field that there is; and every enumeration has its values told.
func TestWhatIsSaidOfFieldsIsAboutFields(t *testing.T) {
	components := Document().Components.Schemas
	field := func(at string) *openapi.Schema {
		component, name, _ := strings.Cut(at, ".")
		if s := components[component]; s != nil {
			return s.Properties.In(name)
		}
		return nil
	}
	for at := range words {
		if field(at) == nil {
			t.Errorf("words has %s, which is no field", at)
		}
	}
	for at := range fields {
		named := !strings.Contains(at, ".") && slices.ContainsFunc(slices.Collect(maps.Values(components)), func(s *openapi.Schema) bool { return s.Properties.In(at) != nil })
		if field(at) == nil && !named {
			t.Errorf("fields has %s, which is no field", at)
		}
	}
	free := []string{"Disk.type"} // volume types have any name
	for name, s := range components {
		for _, p := range s.Properties {
			of := p.Schema
			if of.Type == "array" {
				of = of.Items
			}
			if len(of.AllOf) > 0 {
				of = of.AllOf[0]
			}
			if at := name + "." + p.Name; strings.HasSuffix(of.Ref, "/EnumNameAndDescription") && !slices.Contains(free, at) {
				t.Errorf("%s: its values are not told (words, in described_fields.go)", at)
			}
		}
	}
}

// What a filter reads is what is told of it: the names are found in the code.
func TestEveryParameterThatIsReadIsToldOf(t *testing.T) {
	want := map[string][]ask{
		"taskFilter": taskAsks, "historyFilter": historyAsks, "entityFilter": machineAsks, "policies": policyAsks, "rules": ruleAsks, "schedules": scheduleAsks, "snapshots": snapshotAsks,
		"resources": {managerAsk}, "disks": {diskAsk}, "files": {fileAsk}, "recoveryRules": {planAsk}, "restoreSettings": {{names: "backup-guid"}},
		"restoreJobs": {{names: "status"}}, "page": {{names: "page size orderBy direction filter nameLike"}},
		"mountedBackups": mountAsks, "fileSystems": {mountableAsk}, "mountNamed": {mountedAsk}, "spanOf": spanAsks, "reportWish": {onlyVMAsk}, "deliveries": {deliveryAsk},
	}
	told := map[string]bool{}
	for _, r := range routes() {
		one, _, _ := found(r)
		for _, a := range one.asks {
			for _, name := range strings.Fields(a.names) {
				told[name] = true
			}
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]map[string]bool{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if names := asked(fn); len(names) > 0 {
					read[fn.Name.Name] = names
				}
			}
		}
	}
	for fn, names := range read {
		asks, known := want[fn]
		if !known {
			t.Errorf("%s reads %v: tell of them, and here whose they are", fn, slices.Sorted(maps.Keys(names)))
			continue
		}
		var all []string
		for _, a := range asks {
			all = append(all, strings.Fields(a.names)...)
		}
		slices.Sort(all)
		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, all) {
			t.Errorf("%s reads %v, and %v is told", fn, got, all)
		}
		delete(want, fn)
		if fn == "page" {
			continue
		}
		for _, name := range all {
			if !told[name] {
				t.Errorf("%s of %s is told of at no route", name, fn)
			}
		}
	}
	for fn := range want {
		t.Errorf("%s reads no parameters", fn)
	}
}

// asked gives the names of parameters that a function reads.
func asked(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	if slices.Contains([]string{"value", "values", "enums", "timeOf", "count"}, fn.Name.Name) {
		return nil
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		if loop, ok := n.(*ast.RangeStmt); ok { // for _, name := range []string{"hypervisor", ...} { if value(q, name) ... }
			if list, ok := loop.X.(*ast.CompositeLit); ok && strings.Contains(readByName(loop.Body), "value(q, name)") {
				for _, e := range list.Elts {
					add(names, e)
				}
			}
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if id, ok := call.Fun.(*ast.Ident); ok && slices.Contains([]string{"value", "values", "enums", "timeOf", "count"}, id.Name) {
			for _, arg := range call.Args[1:] {
				add(names, arg)
			}
		}
		return true
	})
	return names
}

func add(names map[string]bool, e ast.Expr) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if name, err := strconv.Unquote(lit.Value); err == nil {
			names[name] = true
		}
	}
}

// readByName finds the call that reads a parameter by the name of a loop's variable.
func readByName(body ast.Node) string {
	found := ""
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 2 {
			if fn, ok := call.Fun.(*ast.Ident); ok && fn.Name == "value" {
				if arg, ok := call.Args[1].(*ast.Ident); ok && arg.Name == "name" {
					found = "value(q, name)"
				}
			}
		}
		return true
	})
	return found
}

// What a body's Go types take, its schema allows, and the other way round where
// it is about what no client can mean.
func TestSchemasOfRequestsTakeWhatTheTypesTake(t *testing.T) {
	c, err := contract.New(map[string]*openapi.Document{base: Document()})
	if err != nil {
		t.Fatal(err)
	}
	for _, sent := range []string{
		`{"protectedEntities":["a"],"backupType":"FULL"}`, `{"protectedEntities":"a","backupType":{"name":"FULL"},"priority":"60","windowStart":18000000.0}`,
		`{"protectedEntities":[{"guid":1,"name":null,"tags":[]}],"backupType":null,"priority":null,"rules":[{"ruleBackupDestinations":[{"roleType":{"name":"PRIMARY"},"backupDestination":{"guid":"d"}}]}]}`,
	} {
		if err := json.Unmarshal([]byte(sent), &exportBody{}); err != nil {
			t.Errorf("%s is not taken: %v", sent, err)
		}
		x := contract.Exchange{Method: "POST", Path: base + "/tasks/export", Sent: []byte(sent), Status: 200, Answer: []byte("[]"), Header: map[string][]string{"Content-Type": {openapi.JSON}, "X-Openstack-Request-Id": {"req-1"}}}
		if err := c.Check(x); err != nil {
			t.Errorf("%s: %v", sent, err)
		}
	}
	if reflect.TypeFor[exportBody]().NumField() != len(Document().Components.Schemas["ExportRequest"].Properties) {
		t.Error("fields are missing")
	}
}
