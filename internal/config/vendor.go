package config

import "time"

// Vendor is [vendor_api].
type Vendor struct {
	Enabled bool `name:"enabled" default:"true" help:"Serve it."`

	LoginDomain    string        `name:"login_domain" default:"Default" help:"Domain, by name, of logins that name none."`
	LoginProject   string        `name:"login_project" help:"Project, by name, of logins that name none. Empty: the user's default project, or the only one he has."`
	LoginQualified bool          `name:"login_qualified" default:"true" help:"Let a login name domain and project: user@domain:project, either of which may be missing. Where user names hold @ or : without that meaning, say false."`
	IdleTime       time.Duration `name:"session_idle_time" default:"900" min:"60" help:"Seconds after which a session that is not used is over."`
	LifeTime       time.Duration `name:"session_life_time" default:"43200" min:"60" help:"Seconds after which any session is over, unless its Keystone token ends before."`
	LoginCacheTime time.Duration `name:"login_cache_time" default:"300" min:"-1" help:"Seconds a login that worked is known again without asking Keystone for another token; -1: never. Clients log in anew before every call. What is kept is in this process only, and says nothing of the password."`

	BindHost string `name:"bind_host" default:"0.0.0.0" help:"Address of the API's own port."`
	BindPort int    `name:"bind_port" default:"0" min:"0" max:"65535" sample:"8181" help:"A port of its own, beside [DEFAULT] bind_port; clients expect 8181. 0: none."`
	CertFile string `name:"cert_file" form:"file" help:"Certificate of that port, and the chain behind it. Empty: plain HTTP."`
	KeyFile  string `name:"key_file" form:"file" help:"Key of the certificate."`

	AllowedOrigins []string `name:"allowed_origins" sample:"https://ui.example.org" help:"Origins of user interfaces served from elsewhere, whose scripts may read answers. Browsers send the session's cookie along within one site only."`

	InventoryInterval time.Duration `name:"inventory_interval" default:"600" min:"0" help:"Seconds between two looks of the managers at what servers and volumes there are; 0: only when somebody asks for one."`

	MaxRequestBody int64 `name:"max_request_body_size" default:"4194304" min:"1" help:"Bytes of a request's body, at most. Clients send back whole policies with all their entities."`
}

// Mail is [mail].
type Mail struct {
	Host         string        `name:"smtp_host" sample:"smtp.example.org" help:"The mail server. Empty: nothing is mailed."`
	Port         int           `name:"smtp_port" default:"587" min:"1" max:"65535" help:"Its port: 587 with STARTTLS, 465 with TLS from the first byte."`
	Security     string        `name:"security" default:"starttls" choices:"starttls,tls,none" help:"How the connection is secured. With none there is no login."`
	CAFile       string        `name:"ca_file" form:"file" help:"CA certificates to trust. Empty: the system's."`
	User         string        `name:"user" help:"Whom to log in as. Empty: there is no login."`
	Password     Secret        `name:"password" help:"And by what."`
	PasswordFile string        `name:"password_file" form:"file" help:"File that holds it, instead."`
	From         string        `name:"from" sample:"Stowage <stowage@example.org>" help:"The sender of all mail."`
	Hello        string        `name:"hello" help:"Name to greet the mail server with. Empty: the host's."`
	Domains      []string      `name:"allowed_domains" sample:"example.org" help:"Domains that mail may go to. Empty: any; tenants choose recipients (policy rule vendor_api:mail)."`
	Timeout      time.Duration `name:"timeout" default:"20" min:"1" max:"300" help:"Seconds for one mail, its repetitions included."`
	ReportHour   int           `name:"daily_report_hour" default:"6" min:"0" max:"23" help:"Hour (UTC) from which daily reports of the day before are mailed."`
}

// Webhooks is [webhooks].
type Webhooks struct {
	Networks []string      `name:"allowed_networks" sample:"192.0.2.0/24" help:"Networks that webhooks may call although they are private, local or reserved. Empty: none; what is in them could be asked by any tenant."`
	Timeout  time.Duration `name:"timeout" default:"10" min:"1" max:"60" help:"Seconds that a webhook may take to answer."`
	Retry    time.Duration `name:"retry_time" default:"86400" min:"60" help:"Seconds for which a delivery is tried again."`
	Log      time.Duration `name:"log_time" default:"604800" min:"3600" help:"Seconds for which deliveries are remembered."`
}
