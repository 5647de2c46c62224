package config

import "time"

// Default is [DEFAULT].
type Default struct {
	Debug     bool   `name:"debug" default:"false" help:"Log at DEBUG instead of INFO."`
	LogFile   string `name:"log_file" help:"File to log to; relative to log_dir if that is set. Empty: standard error."`
	LogDir    string `name:"log_dir" help:"Directory for log files. Without log_file the file is named after the program."`
	UseStderr bool   `name:"use_stderr" default:"false" help:"Log to standard error, too, when there is a log file."`
	UseJSON   bool   `name:"use_json" default:"false" help:"Log one JSON object per line."`

	TransportURL Secret `name:"transport_url" sample:"rabbit://openstack:RABBIT_PASSWORD@controller:5672/" help:"The message broker, rabbit://user:password@host1:5672,user:password@host2:5672/vhost. Special characters in the password are percent-encoded."`

	Host      string `name:"host" sample:"<your_hostname>" help:"Name of this host. It tells managers apart and must not change while one has work."`
	StatePath string `name:"state_path" default:"/var/lib/stowage" help:"Directory for files that must survive a restart."`

	BindHost       string `name:"bind_host" default:"0.0.0.0" help:"Address the API listens on."`
	BindPort       int    `name:"bind_port" default:"8785" min:"1" max:"65535" help:"Port the API listens on."`
	PublicEndpoint string `name:"public_endpoint" form:"url" help:"URL that links in answers begin with. Empty: taken from each request."`
	MaxLimit       int    `name:"osapi_max_limit" default:"1000" min:"1" help:"How many items one answer lists at most."`

	ReportInterval  time.Duration `name:"report_interval" default:"10" min:"1" help:"Seconds between two signs of life of a service."`
	ServiceDownTime time.Duration `name:"service_down_time" default:"60" min:"1" help:"Seconds without a sign of life after which a service counts as down."`
	ShutdownTimeout time.Duration `name:"graceful_shutdown_timeout" default:"60" min:"0" help:"Seconds for requests and jobs under way to come to an end after SIGTERM; 0: as long as they take. A job that is cut off goes on elsewhere."`
	SweepInterval   time.Duration `name:"periodic_interval" default:"10" min:"1" help:"Seconds between two looks for work that nobody was told of, or that was left behind."`

	EnabledBackends []string      `name:"enabled_backends" help:"Backends this manager works beside: names of sections of this file, in order."`
	MaxJobs         int           `name:"max_jobs" default:"4" min:"1" help:"Jobs a manager runs at once."`
	LeaseTime       time.Duration `name:"lease_time" default:"60" min:"5" help:"Seconds after which a job whose manager is silent is given to another one."`
	QueueTimeout    time.Duration `name:"job_queue_timeout" default:"86400" min:"1" help:"Seconds after which a job that no manager took fails."`
	MaxAttempts     int           `name:"max_attempts" default:"3" min:"1" help:"How often a job is begun before it fails for good."`
	KeepBases       bool          `name:"keep_base_snapshots" default:"true" help:"Keep the snapshot of a volume's latest backup where the backend can tell what changed since, so that the next backup reads only that. Users can delete such volumes all the same."`
	VerifyInterval  time.Duration `name:"verify_interval" default:"604800" min:"0" help:"Seconds after which a backup is verified again: whether all its objects are there, as they were stored. 0: never by itself."`
	VerifyDeep      bool          `name:"verify_deep" default:"false" help:"Verify by reading all that a restore reads."`
}

// Engine is [engine].
type Engine struct {
	ChunkSizeKB  int    `name:"chunk_size_kb" default:"256" min:"64" max:"4096" help:"KiB of a volume that are looked at, compared and stored as one; a power of two. What is stored already keeps its own; a volume whose backups have another begins with a full one."`
	ChunkHash    string `name:"chunk_hash" default:"blake3" choices:"blake3,sha256" help:"By what hash chunks are compared and checked. Another one begins with full backups."`
	ObjectSizeMB int    `name:"object_size_mb" default:"64" min:"4" max:"112" help:"MiB of chunks that make one object."`
	Readers      int    `name:"readers" default:"8" min:"1" max:"64" help:"Reads of a volume in flight, a job."`
	Fetches      int    `name:"fetches" default:"16" min:"1" max:"128" help:"Reads of objects in flight, a job that restores or verifies."`
	CPUs         int    `name:"cpus" default:"0" min:"0" max:"1024" help:"Processors that all jobs may use for hashing, compressing and sealing; 0: all there are."`
	JobCPUs      int    `name:"job_cpus" default:"0" min:"0" max:"1024" help:"And that one job may; 0: as many as all."`
	PackMemoryMB int    `name:"pack_memory_mb" default:"128" min:"16" help:"MiB for objects that are being filled or uploaded, all jobs together. Several jobs make smaller objects."`
	ReadMemoryMB int    `name:"read_memory_mb" default:"64" min:"8" help:"MiB for reads in flight, all jobs together."`
	BandwidthMB  int64  `name:"bandwidth_mb" default:"0" min:"0" help:"MiB a second that all jobs may send to and get from Swift; 0: no bound."`
	JobBandwidth int64  `name:"job_bandwidth_mb" default:"0" min:"0" help:"And that one job may; 0: no bound."`
}

// Encryption is [encryption].
type Encryption struct {
	Enabled       bool   `name:"enabled" default:"true" help:"Seal what new backups store. What is sealed already needs the master key either way."`
	MasterKeyFile string `name:"master_key_file" default:"/etc/stowage/master.key" help:"The operator's master keys, a line each; the first one is used, all are understood. All managers need the same, mode 0600. 'stowage keys create' makes it. Whoever loses it has lost every sealed backup: keep a copy elsewhere."`
}

// Database is [database].
type Database struct {
	Connection  Secret        `name:"connection" sample:"mysql+pymysql://stowage:STOWAGE_DBPASS@controller/stowage?charset=utf8" help:"The database as a SQLAlchemy URL: mysql+pymysql://user:password@host:3306/name, with ssl_ca, ssl_cert and ssl_key as parameters, or sqlite:////absolute/path."`
	MaxPoolSize int           `name:"max_pool_size" default:"5" min:"1" help:"Connections kept open."`
	MaxOverflow int           `name:"max_overflow" default:"50" min:"0" help:"Connections opened beyond max_pool_size when there is much to do."`
	MaxRetries  int           `name:"max_retries" default:"10" min:"-1" help:"How often to try to connect at start; -1: for ever."`
	RetryDelay  time.Duration `name:"retry_interval" default:"10" min:"0" help:"Seconds between two attempts to connect at start."`
	RecycleTime time.Duration `name:"connection_recycle_time" default:"3600" min:"1" help:"Seconds after which a connection is replaced by a new one."`
	WsrepWait   *int          `name:"mysql_wsrep_sync_wait" min:"0" max:"15" help:"Galera's wsrep_sync_wait for all sessions. Empty: as the server has it."`
}

// Rabbit is [oslo_messaging_rabbit].
type Rabbit struct {
	SSL           bool          `name:"ssl" default:"false" help:"Connect with TLS."`
	CAFile        string        `name:"ssl_ca_file" form:"file" help:"CA certificates to trust. Empty: the system's."`
	CertFile      string        `name:"ssl_cert_file" form:"file" help:"Certificate to show to the broker."`
	KeyFile       string        `name:"ssl_key_file" form:"file" help:"Key of the certificate."`
	Heartbeat     time.Duration `name:"heartbeat_timeout_threshold" default:"60" min:"0" help:"Seconds of silence after which the broker counts as away; 0: as the broker wants."`
	RetryInterval time.Duration `name:"rabbit_retry_interval" default:"1" min:"0" help:"Seconds to wait, at most, before the first attempt to connect again. Each failure doubles it."`
	RetryMax      time.Duration `name:"rabbit_interval_max" default:"30" min:"1" help:"Seconds to wait, at most, between two attempts to connect."`
	Quorum        bool          `name:"rabbit_quorum_queue" default:"true" help:"Use quorum queues; false: classic durable ones. Queues that are there keep their kind: delete them to change it."`
	Durable       bool          `name:"amqp_durable_queues" default:"true" ignored:"queues are always durable" help:"Accepted and without effect: queues are always durable."`
}

// Policy is [oslo_policy].
type Policy struct {
	File string `name:"policy_file" default:"policy.yaml" help:"File of rules that override the defaults, relative to the directory of the configuration. It may be missing."`
	Dirs Multi  `name:"policy_dirs" default:"policy.d" help:"Directory of more rules, read in order of their names. It may be missing. May be given several times."`
}

// Middleware is [oslo_middleware].
type Middleware struct {
	MaxRequestBody int64 `name:"max_request_body_size" default:"114688" min:"1" help:"Bytes of a request's body, at most."`
	ProxyHeaders   bool  `name:"enable_proxy_headers_parsing" default:"false" help:"Believe X-Forwarded-* and Forwarded. Only behind a proxy that sets them."`
}

// Health is [healthcheck].
type Health struct {
	DisableFile string `name:"disable_by_file_path" help:"While this file exists, /healthcheck answers 503, so that load balancers send no new requests."`
	Detailed    bool   `name:"detailed" default:"false" help:"Tell more than the state. Everybody can read it."`
}

// SSL is [ssl].
type SSL struct {
	CertFile string `name:"cert_file" form:"file" help:"Certificate of the API, and the chain behind it. Empty: plain HTTP."`
	KeyFile  string `name:"key_file" form:"file" help:"Key of the certificate."`
	CAFile   string `name:"ca_file" form:"file" help:"CA that clients' certificates must come from. Empty: clients need none."`
}
