//! The real servers that delivery streams deliver to, each a process on free ports of this machine.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start: those on Java take their time on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);

/// The user whom nothing belongs to.
const NOBODY: u32 = 65_534;

/// The access key that the S3 server knows.
pub const ACCESS_KEY: &str = "leatkey";
/// Its secret.
pub const SECRET_KEY: &str = "leatsecret";

/// The account that Azurite knows.
pub const AZURE_ACCOUNT: &str = "devstoreaccount1";
/// Its key, which everybody knows.
pub const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The user of Snowflake's stand-ins.
pub const SNOWFLAKE_USER: &str = "loader";
/// What its private key is encrypted with.
pub const SNOWFLAKE_PASSPHRASE: &str = "leatphrase";

/// Apache Iceberg's REST catalog.
const ICEBERG: &str = "iceberg-open-api-1.10.0.jar";

/// A server that runs until it is dropped.
pub struct Server {
    command: Command,
    child: Child,
    ip: String,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// SeaweedFS, with its data in `directory`: an S3 server that checks signatures.
    ///
    /// # Errors
    /// It does not start.
    pub fn s3(directory: &Path) -> anyhow::Result<Server> {
        Server::s3_at(directory, "127.0.0.1")
    }

    /// The same on another address of this machine, as that of a cluster's nodes.
    ///
    /// # Errors
    /// It does not start.
    pub fn s3_at(directory: &Path, ip: &str) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        let identities = directory.join("s3.json");
        let identity = format!(
            r#"{{"identities": [{{"name": "admin", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"#
        );
        std::fs::write(&identities, identity)?;
        let ports = free_ports(8)?;
        let mut command = Command::new(python_bin("weed"));
        command.arg("server").arg(format!("-dir={}", directory.display()));
        command.args([format!("-ip={ip}"), format!("-ip.bind={ip}")]);
        command.args(["-volume.max=20", "-s3"]);
        command.args(["-master.volumeSizeLimitMB=256", "-master.telemetry=false"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (at, name) in ["s3", "master", "volume", "filer"].iter().enumerate() {
            // Without a second port, ten thousand more than the first, which may be more than there are.
            let (port, grpc) = (ports[2 * at], ports[2 * at + 1]);
            command.args([format!("-{name}.port={port}"), format!("-{name}.port.grpc={grpc}")]);
        }
        command.arg(format!("-s3.config={}", identities.display()));
        Server::start_at(command, (ip, ports[0]), directory)
    }

    /// `e2e/destinations/gcs`, an emulator of Google Cloud Storage that lets anyone in, with its data in
    /// `directory`. It has a bucket `lake`.
    ///
    /// # Errors
    /// It does not start.
    pub fn gcs(directory: &Path) -> anyhow::Result<Server> {
        let unfinished = directory.join("unfinished");
        std::fs::create_dir_all(&unfinished)?;
        let port = free_ports(1)?[0];
        let mut command = Command::new(servers().join("gcs"));
        command.arg(format!("127.0.0.1:{port}")).arg(directory.join("buckets"));
        // What a kill leaves behind would be found in a bucket, and nothing else would.
        command.env("TMPDIR", unfinished);
        Server::start(command, port, directory)
    }

    /// Azurite, Azure's emulator, which checks signatures, with its data in `directory`. It has a
    /// container `lake`.
    ///
    /// # Errors
    /// It does not start.
    pub fn azure(directory: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        let port = free_ports(1)?[0];
        let mut command =
            Command::new(servers().join("azurite-3.35.0/node_modules/.bin/azurite-blob"));
        // Its own client, which reads what came, may be newer than it knows.
        command.args([
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--silent",
            "--blobPort",
            &port.to_string(),
        ]);
        command.arg("--location").arg(directory);
        let server = Server::start(command, port, directory)?;
        let script = "import azure.storage.blob, sys\n\
            azure.storage.blob.ContainerClient(sys.argv[1], 'lake',\n\
            credential={'account_name': sys.argv[2], 'account_key': sys.argv[3]}).create_container()\n";
        let account = format!("{}/{AZURE_ACCOUNT}", server.endpoint());
        let created = Command::new(python_bin("python"))
            .args(["-c", script, &account, AZURE_ACCOUNT, AZURE_KEY])
            .output()?;
        ensure!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        Ok(server)
    }

    /// Elasticsearch or OpenSearch, by its program's name and version, with its data in `directory`.
    ///
    /// # Errors
    /// It does not start.
    pub fn search(name: &str, version: &str, directory: &Path) -> anyhow::Result<Server> {
        let home = servers().join(format!("{name}-{version}"));
        let ports = free_ports(2)?;
        let config = directory.join("config");
        std::fs::create_dir_all(&config)?;
        for entry in std::fs::read_dir(home.join("config"))? {
            let file = entry?.path();
            if let (true, Some(file_name)) = (file.is_file(), file.file_name()) {
                // All but logs of the garbage collector, which go where the program is.
                let text = std::fs::read_to_string(&file)?;
                let lines = text.lines().filter(|line| !line.contains("gc.log"));
                let text = lines.collect::<Vec<_>>().join("\n");
                std::fs::write(config.join(file_name), text)?;
            }
        }
        let settings = format!(
            "network.host: 127.0.0.1\nhttp.port: {}\ntransport.port: {}\n\
             discovery.type: single-node\npath.data: {at}/data\npath.logs: {at}/logs\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n{}",
            ports[0],
            ports[1],
            if name == "elasticsearch" { "xpack.security.enabled: false\n" } else { "" },
            at = directory.display(),
        );
        std::fs::write(config.join(format!("{name}.yml")), settings)?;
        let mut command = Command::new(home.join("bin").join(name));
        command.env(
            if name == "opensearch" { "OPENSEARCH_PATH_CONF" } else { "ES_PATH_CONF" },
            &config,
        );
        let temporary = directory.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let prefix = if name == "opensearch" { "OPENSEARCH" } else { "ES" };
        command.env(format!("{prefix}_JAVA_OPTS"), "-Xms512m -Xmx512m");
        command.env(format!("{prefix}_JAVA_HOME"), java_home()?).env("HOME", directory);
        command.env(format!("{prefix}_TMPDIR"), &temporary);
        if rustix::process::geteuid().is_root() {
            // They refuse to run as root.
            let above = directory.parent().context("a directory in another")?;
            std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755))?;
            let chown = Command::new("chown").args(["-R", "nobody"]).arg(directory).status()?;
            ensure!(chown.success(), "give {} to nobody", directory.display());
            command.uid(NOBODY);
        }
        Server::start(command, ports[0], directory)
    }

    /// The OpenTelemetry collector: a Splunk HEC on the server's port, and on the other one that is
    /// given back an HTTP endpoint as Firehose wants them, with the access key `key`. What they took is
    /// in `directory/taken.jsonl`.
    ///
    /// # Errors
    /// It does not start.
    pub fn collector(directory: &Path) -> anyhow::Result<(Server, u16)> {
        std::fs::create_dir_all(directory)?;
        let ports = free_ports(2)?;
        let config = format!(
            "extensions: {{ack: {{}}}}
receivers:
  splunk_hec: {{endpoint: '127.0.0.1:{}', ack: {{extension: ack}}}}
  awsfirehose: {{endpoint: '127.0.0.1:{}', encoding: cwlogs, access_key: key}}
exporters:
  file: {{path: '{}', append: true}}
service:
  extensions: [ack]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [splunk_hec, awsfirehose], exporters: [file]}}}}
",
            ports[0],
            ports[1],
            directory.join("taken.jsonl").display()
        );
        let file = directory.join("collector.yaml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(servers().join("collector/collector"));
        command.arg("--config").arg(&file);
        Ok((Server::start(command, ports[0], directory)?, ports[1]))
    }

    /// PostgreSQL behind `e2e/destinations/redshift.py`, which gives it Redshift's COPY from that S3
    /// server, with its data in `directory`; on the port that is given back, PostgreSQL as it is. `sql` is
    /// run in the database `dev`, that belongs to the user `loader` with the password `loaded`.
    ///
    /// # Errors
    /// It does not start.
    pub fn redshift(directory: &Path, s3: &Server, sql: &str) -> anyhow::Result<(Server, u16)> {
        std::fs::create_dir_all(directory)?;
        let ports = free_ports(2)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("destinations/redshift.py");
        let mut command = Command::new(python_bin("python"));
        command.arg(script).args(ports.iter().map(u16::to_string));
        command.arg(directory).args([&s3.endpoint(), sql]);
        command.envs([("ROLE_ACCESS_KEY", ACCESS_KEY), ("ROLE_SECRET_KEY", SECRET_KEY)]);
        Ok((Server::start(command, ports[0], directory)?, ports[1]))
    }

    /// A stand-in for the Redshift Data API: not Redshift, but what AWS's documentation says of the interface.
    /// It runs statements by `redshift`, which has PostgreSQL on that other port, and knows the access key of
    /// the S3 server, in the region us-east-1.
    ///
    /// # Errors
    /// It does not start.
    pub fn redshift_data(
        directory: &Path,
        (redshift, postgres): (&Server, u16),
    ) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        let port = free_ports(1)?[0];
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("destinations/redshift_data.py");
        let mut command = Command::new(python_bin("python"));
        command.arg(script).args([port, redshift.port, postgres].map(|port| port.to_string()));
        command.args(["us-east-1", ACCESS_KEY, SECRET_KEY]);
        Server::start(command, port, directory)
    }

    /// Moto's AWS Glue, which keeps nothing when it ends.
    ///
    /// # Errors
    /// It does not start.
    pub fn glue(directory: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        let port = free_ports(1)?[0];
        let mut command = Command::new(python_bin("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Server::start(command, port, directory)
    }

    /// A stand-in for Snowpipe Streaming: not Snowflake, but what its documentation says of the interface.
    /// It knows the key of [`snowflake_key`]; `flags` say how it fails.
    ///
    /// # Errors
    /// It does not start.
    pub fn snowpipe(directory: &Path, flags: &[&str]) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        snowflake_key(directory)?;
        let port = free_ports(1)?[0];
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("destinations/snowpipe.py");
        let mut command = Command::new(python_bin("python"));
        command.arg(script).arg(port.to_string()).arg(directory.join("public.pem"));
        command.args(["localhost", SNOWFLAKE_USER, "--journal"]).arg(directory.join("journal"));
        command.args(flags);
        Server::start(command, port, directory)
    }

    /// Apache Iceberg's REST catalog, with what it knows in `directory` and its tables in the bucket `lake` of
    /// that S3 server.
    ///
    /// # Errors
    /// It does not start.
    pub fn iceberg(directory: &Path, s3: &Server) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        let port = free_ports(1)?[0];
        let mut command = Command::new(java_home()?.join("bin/java"));
        command.args(["-Xmx512m", "-jar"]).arg(servers().join(ICEBERG));
        command.env("CATALOG_REST_PORT", port.to_string());
        // By its default a read that was cut off keeps all commits out, until the catalog is started anew.
        let database = directory.join("catalog.db");
        let database = format!("jdbc:sqlite:{}?journal_mode=WAL", database.display());
        command.env("CATALOG_URI", database);
        command.envs([
            ("CATALOG_CATALOG__IMPL", "org.apache.iceberg.jdbc.JdbcCatalog"),
            ("CATALOG_WAREHOUSE", "s3://lake/tables"),
            ("CATALOG_IO__IMPL", "org.apache.iceberg.aws.s3.S3FileIO"),
            ("CATALOG_S3_PATH__STYLE__ACCESS", "true"),
            ("CATALOG_S3_ENDPOINT", &s3.endpoint()),
            ("CATALOG_S3_ACCESS__KEY__ID", ACCESS_KEY),
            ("CATALOG_S3_SECRET__ACCESS__KEY", SECRET_KEY),
            ("AWS_REGION", "us-east-1"),
        ]);
        Server::start(command, port, directory)
    }

    /// fakesnow: Snowflake's SQL by the interface of Snowflake's drivers, on DuckDB, with its data in
    /// `directory`. It lets anyone in.
    ///
    /// # Errors
    /// It does not start.
    pub fn fakesnow(directory: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(directory)?;
        snowflake_key(directory)?;
        let port = free_ports(1)?[0];
        // Its own program keeps nothing.
        let script = "import sys, uvicorn, fakesnow.server as server\n\
            from fakesnow.instance import FakeSnow\n\
            server.shared_fs = FakeSnow(db_path=sys.argv[1])\n\
            uvicorn.run(server.app, host='127.0.0.1', port=int(sys.argv[2]), log_level='warning')\n";
        let mut command = Command::new(python_bin("python"));
        command.args(["-c", script]).arg(directory).arg(port.to_string());
        Server::start(command, port, directory)
    }

    fn start(command: Command, port: u16, directory: &Path) -> anyhow::Result<Server> {
        Server::start_at(command, ("127.0.0.1", port), directory)
    }

    fn start_at(
        mut command: Command,
        (ip, port): (&str, u16),
        directory: &Path,
    ) -> anyhow::Result<Server> {
        let log = directory.join("log");
        let output = std::fs::File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = spawn(&mut command)?;
        let mut server = Server { command, child, ip: ip.to_owned(), port, log };
        server.wait_until_listening()?;
        Ok(server)
    }

    /// Starts it again, on what it has kept, once it has ended.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&mut self.command)?;
        self.wait_until_listening()
    }

    /// SIGKILL, to all of its processes.
    pub fn kill(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            // By now its number may be another's.
            return;
        }
        for pid in processes(self.child.id()).into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Errors
    /// It is not there.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id")?, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while TcpStream::connect((&*self.ip, self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{status}: {}", self.logged());
            }
            if START_MAX < started.elapsed() {
                bail!("does not listen on port {}: {}", self.port, self.logged());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Makes a bucket, once the server is ready for it.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn create_bucket(&self, name: &str) {
        let script = "import boto3, sys\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1',\n\
            aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])\n\
            s3.create_bucket(Bucket=sys.argv[4])\n\
            s3.put_object(Bucket=sys.argv[4], Key='ready', Body=b'')\n\
            s3.delete_object(Bucket=sys.argv[4], Key='ready')\n";
        let started = Instant::now();
        loop {
            let output = Command::new(python_bin("python"))
                .args(["-c", script, &self.endpoint(), ACCESS_KEY, SECRET_KEY, name])
                .output();
            let output = output.expect("e2e/test.sh installs Python");
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(started.elapsed() < START_MAX, "{said}\n{}", self.logged());
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.ip, self.port)
    }

    /// Its address for HTTP.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its address, by the name of this machine.
    #[must_use]
    pub fn named_endpoint(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The end of what it has logged.
    #[must_use]
    pub fn logged(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(50)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("start {command:?}; e2e/test.sh installs it"))
}

/// A process and all that it has started, itself first: it must not see them end.
fn processes(id: u32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok());
    i32::try_from(id).into_iter().chain(children.flat_map(processes)).collect()
}

/// Where `e2e/destinations/install.sh` puts servers.
fn servers() -> PathBuf {
    let named = std::env::var_os("LEAT_E2E_SERVERS").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from("/var/tmp/leat-e2e-servers"))
}

/// How Apache Iceberg's own reader is started: arguments without blanks, those aside that say what to read.
///
/// # Errors
/// Java is not there.
pub fn iceberg_reader() -> anyhow::Result<String> {
    let (java, servers) = (java_home()?.join("bin/java"), servers());
    let reader =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("destinations/iceberg-reader/Read.java");
    Ok(format!(
        "{} -Xmx512m -cp {at}/iceberg-reader/*:{at}/{ICEBERG} {}",
        java.display(),
        reader.display(),
        at = servers.display()
    ))
}

/// Where Java is that runs without being told where.
fn java_home() -> anyhow::Result<PathBuf> {
    let java = Command::new("sh").args(["-c", "readlink -f \"$(command -v java)\""]).output()?;
    let java = PathBuf::from(String::from_utf8(java.stdout)?.trim());
    let home = java.ancestors().nth(2).context("java is not installed")?;
    Ok(home.to_owned())
}

/// A key pair of openssl's in `directory`: `private.pem`, encrypted, and `public.pem`.
fn snowflake_key(directory: &Path) -> anyhow::Result<()> {
    let passphrase = format!("pass:{SNOWFLAKE_PASSPHRASE}");
    let (private, public) = (directory.join("private.pem"), directory.join("public.pem"));
    let openssl = |args: &[&str], out: &Path| {
        let output = Command::new("openssl").args(args).arg("-out").arg(out).output();
        let output = output.context("run openssl; e2e/test.sh installs it")?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    };
    openssl(&["genpkey", "-algorithm", "RSA", "-aes-256-cbc", "-pass", &passphrase], &private)?;
    let key = private.display().to_string();
    openssl(&["pkey", "-in", &key, "-passin", &passphrase, "-pubout"], &public)
}

/// A program of the Python environment that `e2e/setup.sh` makes.
#[must_use]
pub fn python_bin(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(name)
}

/// Ports that nobody listens on, all different.
///
/// # Errors
/// There are none.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    // Below those that connections are given: one of them would take it before the server does.
    let mut listeners = Vec::new();
    for _ in 0..1_000 {
        if listeners.len() == count {
            break;
        }
        listeners.extend(TcpListener::bind(("127.0.0.1", rand::random_range(10_000..30_000))));
    }
    ensure!(listeners.len() == count, "no free ports");
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
