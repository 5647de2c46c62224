package auth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Credentials are the options of an authentication section, such as
// [keystone_authtoken], [service_user] or [cinder], under the names operators
// know from keystoneauth.
type Credentials struct {
	// AuthType is password, v3password or v3applicationcredential; empty: password.
	AuthType string
	// AuthURL is Keystone's, with or without /v3.
	AuthURL string

	Username       string
	UserID         string
	UserDomainName string
	UserDomainID   string
	Password       Secret

	ProjectName       string
	ProjectID         string
	ProjectDomainName string
	ProjectDomainID   string

	// An application credential by id, or by name and its user.
	ApplicationCredentialID     string
	ApplicationCredentialName   string
	ApplicationCredentialSecret Secret

	// Which of a service's endpoints to take: RegionName (empty: any) and
	// Interface: public, internal or admin, also as publicURL and so on;
	// empty: internal.
	RegionName string
	Interface  string
	// EndpointOverride is taken instead of anything the catalog says.
	EndpointOverride string

	CAFile   string // trusted instead of the system's
	CertFile string // TLS client certificate
	KeyFile  string // empty: the key is in CertFile
	Insecure bool   // do not check certificates at all

	// ConnectTimeout bounds setting up a connection; 0: 10 s.
	ConnectTimeout time.Duration
	// MaxRetries is how often a connection that cannot be made is tried again;
	// 0: 3, negative: never.
	MaxRetries int
}

const (
	defaultConnectTimeout = 10 * time.Second
	defaultMaxRetries     = 3
)

// withDefaults checks the credentials and fills in what may be left out.
func (c Credentials) withDefaults() (Credentials, error) {
	if c.AuthType == "" {
		c.AuthType = "password"
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = defaultMaxRetries
	}
	base, err := keystoneBase(c.AuthURL)
	if err != nil {
		return c, err
	}
	c.AuthURL = base
	if c.Interface, err = normalInterface(c.Interface); err != nil {
		return c, err
	}
	if c.KeyFile != "" && c.CertFile == "" {
		return c, errors.New("keyfile is set and certfile is not")
	}
	switch c.AuthType {
	case "password", "v3password":
		return c, c.checkPassword()
	case "v3applicationcredential":
		return c, c.checkApplicationCredential()
	}
	return c, fmt.Errorf("auth_type %q is not one of password, v3password, v3applicationcredential", c.AuthType)
}

func (c Credentials) checkPassword() error {
	if err := c.checkUser(); err != nil {
		return err
	}
	if c.Password.Empty() {
		return errors.New("password is not set")
	}
	if c.ProjectID == "" && c.ProjectName == "" {
		return errors.New("neither project_name nor project_id is set")
	}
	if c.ProjectID == "" && c.ProjectDomainID == "" && c.ProjectDomainName == "" {
		return errors.New("project_name needs project_domain_name or project_domain_id")
	}
	return nil
}

func (c Credentials) checkUser() error {
	if c.UserID == "" && c.Username == "" {
		return errors.New("neither username nor user_id is set")
	}
	if c.UserID == "" && c.UserDomainID == "" && c.UserDomainName == "" {
		return errors.New("username needs user_domain_name or user_domain_id")
	}
	return nil
}

func (c Credentials) checkApplicationCredential() error {
	if c.ApplicationCredentialSecret.Empty() {
		return errors.New("application_credential_secret is not set")
	}
	if c.ApplicationCredentialID != "" {
		return nil
	}
	if c.ApplicationCredentialName == "" {
		return errors.New("neither application_credential_id nor application_credential_name is set")
	}
	return c.checkUser()
}

// options is what gophercloud wants to know. An id wins over a name, since
// Keystone refuses both.
func (c Credentials) options() *gophercloud.AuthOptions {
	o := &gophercloud.AuthOptions{}
	if c.AuthType == "v3applicationcredential" {
		o.ApplicationCredentialSecret = c.ApplicationCredentialSecret.Reveal()
		if o.ApplicationCredentialID = c.ApplicationCredentialID; o.ApplicationCredentialID != "" {
			return o
		}
		o.ApplicationCredentialName = c.ApplicationCredentialName
	} else {
		o.Password = c.Password.Reveal()
		o.Scope = c.scope()
	}
	if o.UserID = c.UserID; o.UserID == "" {
		o.Username = c.Username
		if o.DomainID = c.UserDomainID; o.DomainID == "" {
			o.DomainName = c.UserDomainName
		}
	}
	return o
}

func (c Credentials) scope() *gophercloud.AuthScope {
	if c.ProjectID != "" {
		return &gophercloud.AuthScope{ProjectID: c.ProjectID}
	}
	s := &gophercloud.AuthScope{ProjectName: c.ProjectName}
	if s.DomainID = c.ProjectDomainID; s.DomainID == "" {
		s.DomainName = c.ProjectDomainName
	}
	return s
}

// keystoneBase is the URL that /v3/... is put behind.
func keystoneBase(authURL string) (string, error) {
	u, err := url.Parse(authURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("auth_url %q is not an http or https URL", authURL)
	}
	if u.User != nil || u.RawQuery != "" {
		return "", errors.New("auth_url may hold neither a user nor a query")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v3")
	u.RawPath, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/"), nil
}

// normalInterface gives the catalog's word for an interface.
func normalInterface(name string) (string, error) {
	switch short := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), "url"); short {
	case "":
		return "internal", nil
	case "public", "internal", "admin":
		return short, nil
	}
	return "", fmt.Errorf("interface %q is not one of public, internal, admin", name)
}
