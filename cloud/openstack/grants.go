package openstack

import (
	"slices"
	"strings"
)

// maxACL is the length up to which we add to an ACL: Swift refuses headers of
// more than 8192 bytes.
const maxACL = 8000

// grants are a container's two ACLs, comma-separated as Swift has them.
type grants struct{ read, write string }

// with adds the entry, <project>:<user>, to the ACLs that do not have it. What
// is there stays to the letter.
func (g grants) with(entry string) grants {
	return grants{read: with(g.read, entry), write: with(g.write, entry)}
}

func (g grants) tooLong() bool { return len(g.read) > maxACL || len(g.write) > maxACL }

func with(acl, entry string) string {
	project, user, _ := strings.Cut(entry, ":")
	same := []string{entry, project + ":*", "*:" + user}
	for has := range strings.SplitSeq(acl, ",") {
		if slices.Contains(same, strings.TrimSpace(has)) {
			return acl
		}
	}
	if strings.TrimSpace(acl) == "" {
		return entry
	}
	return acl + "," + entry
}
