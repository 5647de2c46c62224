package config

import (
	"slices"
	"strings"
	"time"
)

// Credentials say who Stowage is towards Keystone.
type Credentials struct {
	AuthType    string `name:"auth_type" default:"password" choices:"password,v3password,v3applicationcredential" help:"How to log in."`
	AuthURL     string `name:"auth_url" form:"url" sample:"http://controller:5000" help:"Keystone's URL."`
	AuthSection string `name:"auth_section" help:"Name of another section to take these credentials from."`

	Username          string `name:"username" sample:"stowage" help:"User name."`
	UserID            string `name:"user_id" help:"User id, instead of name and domain."`
	Password          Secret `name:"password" sample:"STOWAGE_PASS" help:"Password."`
	UserDomainName    string `name:"user_domain_name" sample:"Default" help:"Domain of the user, by name."`
	UserDomainID      string `name:"user_domain_id" help:"Domain of the user, by id."`
	ProjectName       string `name:"project_name" sample:"service" help:"Project to work in, by name."`
	ProjectID         string `name:"project_id" help:"Project to work in, by id."`
	ProjectDomainName string `name:"project_domain_name" sample:"Default" help:"Domain of the project, by name."`
	ProjectDomainID   string `name:"project_domain_id" help:"Domain of the project, by id."`

	AppCredentialID     string `name:"application_credential_id" help:"Application credential, by id."`
	AppCredentialName   string `name:"application_credential_name" help:"Application credential, by name; needs the user, too."`
	AppCredentialSecret Secret `name:"application_credential_secret" help:"Secret of the application credential."`
}

// Session is how a service is connected to.
type Session struct {
	CAFile   string `name:"cafile" form:"file" help:"CA certificates to trust. Empty: the system's."`
	CertFile string `name:"certfile" form:"file" help:"Certificate to show to the service."`
	KeyFile  string `name:"keyfile" form:"file" help:"Key of the certificate."`
	Insecure bool   `name:"insecure" default:"false" help:"Do not check the service's certificate."`
}

// Endpoint is where a service is found in the catalog.
type Endpoint struct {
	RegionName      string   `name:"region_name" help:"Region to look in."`
	Interface       string   `name:"interface" help:"Interface to use, instead of the one in catalog_info."`
	ValidInterfaces []string `name:"valid_interfaces" help:"Interfaces to use, in order of preference; over interface."`
	Override        string   `name:"endpoint_override" form:"url" help:"URL to use, whatever the catalog says."`
}

// Interfaces gives the interfaces to look for, in order, in today's names:
// public, internal, admin. The catalog_info of the section is the last resort.
func (e Endpoint) Interfaces(catalogInfo string) []string {
	names := slices.Clone(e.ValidInterfaces)
	if len(names) == 0 && e.Interface != "" {
		names = []string{e.Interface}
	}
	if len(names) == 0 {
		parts := strings.Split(catalogInfo, ":")
		names = []string{parts[len(parts)-1]}
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], "URL")
	}
	return names
}

// ServiceType gives the first part of a catalog_info.
func ServiceType(catalogInfo string) string {
	kind, _, _ := strings.Cut(catalogInfo, ":")
	return kind
}

// Auth is [keystone_authtoken].
type Auth struct {
	Credentials
	Session
	RegionName string `name:"region_name" help:"Region of the Keystone to use."`
	Interface  string `name:"interface" default:"internal" help:"Interface of Keystone to use."`

	WWWAuthenticateURI string        `name:"www_authenticate_uri" form:"url" sample:"http://controller:5000" help:"Keystone's URL as told to those without a token."`
	ServiceType        string        `name:"service_type" default:"volume-backup" help:"Type of this service in the catalog. Access rules of application credentials speak of it."`
	ServiceRoles       []string      `name:"service_token_roles" default:"service" help:"Roles of which a service token must have one."`
	RolesRequired      bool          `name:"service_token_roles_required" default:"true" help:"Refuse service tokens that have none of service_token_roles."`
	TokenCacheTime     time.Duration `name:"token_cache_time" default:"300" min:"-1" help:"Seconds a validated token is believed again without asking Keystone; -1: never. A revoked token works for so long."`
	Timeout            time.Duration `name:"http_connect_timeout" default:"30" min:"1" help:"Seconds to wait for Keystone's answer."`
	MaxRetries         int           `name:"http_request_max_retries" default:"3" min:"0" help:"How often a request to Keystone is tried again."`

	MemcachedServers  []string `name:"memcached_servers" ignored:"tokens are cached in the process" help:"Accepted and without effect: tokens are cached in the process."`
	MemcacheStrategy  string   `name:"memcache_security_strategy" ignored:"tokens are cached in the process" help:"Accepted and without effect: tokens are cached in the process."`
	MemcacheSecretKey Secret   `name:"memcache_secret_key" ignored:"tokens are cached in the process" help:"Accepted and without effect: tokens are cached in the process."`
	IncludeCatalog    bool     `name:"include_service_catalog" default:"true" ignored:"the catalog is asked for when it is needed" help:"Accepted and without effect: the catalog is asked for when it is needed."`
}

// Cinder is [cinder]. Without an auth_url it uses the credentials of
// [keystone_authtoken].
type Cinder struct {
	Credentials
	Session
	Endpoint
	CatalogInfo        string        `name:"catalog_info" default:"volumev3:cinderv3:publicURL" help:"Where Cinder is in the catalog: type, name and interface, separated by colons. The name is not looked at."`
	VolumeNameTemplate string        `name:"volume_name_template" default:"volume-%s" help:"What backends call a volume, as in cinder.conf; %s is its id."`
	CreateTimeout      time.Duration `name:"create_timeout" default:"60" min:"1" help:"Seconds a request to restore waits for its new volume to become available before it gives up."`
}

// Swift is [swift]. Without an auth_url it uses the credentials of
// [keystone_authtoken].
type Swift struct {
	Credentials
	Session
	Endpoint
	CatalogInfo   string        `name:"catalog_info" default:"object-store:swift:publicURL" help:"Where Swift is in the catalog: type, name and interface, separated by colons. The name is not looked at."`
	AccessMode    string        `name:"access_mode" default:"acl" choices:"acl,reseller" help:"How managers reach tenants' containers: acl: through access the tenant's own request gives them; reseller: as a reseller admin of Swift."`
	StoragePolicy string        `name:"storage_policy" help:"Storage policy of containers that Stowage makes. Empty: Swift's default."`
	RetryAttempts int           `name:"retry_attempts" default:"3" min:"0" help:"How often a request is tried again."`
	RetryBackoff  time.Duration `name:"retry_backoff" default:"2" min:"0" help:"Seconds to wait before a request is tried again."`
}

// Nova is [nova]. Without an auth_url it uses the credentials of
// [keystone_authtoken]. Networks, projects and volumes are listed with the same.
type Nova struct {
	Credentials
	Session
	Endpoint
	CatalogInfo string `name:"catalog_info" default:"compute:nova:publicURL" help:"Where Nova is in the catalog: type, name and interface, separated by colons. Type and name are not looked at."`
}
