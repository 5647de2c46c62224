package auth

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// accessRule is one thing an application credential may do.
type accessRule struct {
	Service string `json:"service"`
	Method  string `json:"method"`
	Path    string `json:"path"`
}

// checkAccessRules refuses a request that no access rule allows. A token
// without rules may do anything; one with an empty list, nothing. They do not
// count if a service with a service role passed the request on: it is not what
// the user asked for himself.
func (t token) checkAccessRules(r *http.Request, serviceType string, trusted bool) error {
	if !t.hasAccessRules() {
		return nil
	}
	if serviceType == "" {
		return fmt.Errorf("%w: it has access rules, and service_type is not set", errInvalidToken)
	}
	known := false
	for _, s := range t.Catalog {
		known = known || s.Type == serviceType
	}
	if !known {
		return fmt.Errorf("%w: it has access rules, and its catalog has no service of type %s", errInvalidToken, serviceType)
	}
	if trusted {
		return nil
	}
	for _, rule := range *t.Credential.AccessRules {
		if rule.Service == serviceType && rule.Method == r.Method && pathMatches(rule.Path, r.URL.Path) {
			return nil
		}
	}
	return fmt.Errorf("%w: none of its access rules allows %s %s", errInvalidToken, r.Method, r.URL.Path)
}

var pathToken = regexp.MustCompile(`\{[^}]*\}|\*\*|\*|[^{*]+|\{`)

// pathMatches compares a path with an access rule's: `*` and `{name}` stand
// for a part without a slash, `**` for anything. Unlike keystonemiddleware it
// takes all other characters for themselves; a dot is a dot. A path that a
// router would clean up before it looks for the handler never matches, since
// the rule was not written for where it leads.
func pathMatches(pattern, path string) bool {
	for _, part := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	if strings.Contains(path, "//") {
		return false
	}
	var expr strings.Builder
	expr.WriteString(`(?s)\A`)
	for _, part := range pathToken.FindAllString(pattern, -1) {
		switch {
		case part == "**":
			expr.WriteString(`.*`)
		case part == "*", part[0] == '{' && len(part) > 1:
			expr.WriteString(`[^/]+`)
		default:
			expr.WriteString(regexp.QuoteMeta(part))
		}
	}
	expr.WriteString(`\z`)
	re, err := regexp.Compile(expr.String())
	return err == nil && re.MatchString(path)
}

// checkBind looks at what a token is bound to. Nothing we know of proves a
// bind to a Go service, so a token that is bound by Kerberos is refused, and
// one that is bound otherwise as the mode says.
func checkBind(bind map[string]any, mode string) error {
	switch mode {
	case "disabled":
		return nil
	case "", "permissive", "strict":
		if len(bind) == 0 {
			return nil
		}
	default: // required, or the name of a bind
		if len(bind) == 0 {
			return fmt.Errorf("%w: it is not bound, and binds are required", errInvalidToken)
		}
	}
	for kind := range bind {
		if kind == "kerberos" || (mode != "" && mode != "permissive") {
			return fmt.Errorf("%w: it is bound by %s", errInvalidToken, kind)
		}
	}
	return nil
}
