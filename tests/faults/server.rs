//! A server of the test's own, which it may stop and start again.

use std::{
    env,
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::Place;

/// A server on a free port and in a temporary folder. It is killed when the handle is dropped, and when the test's
/// process dies.
pub(crate) struct Server {
    place: Place,
    folder: TempDir,
    owner: Option<(u32, u32)>,
    extra: Vec<String>,
    port: u16,
    running: Option<Running>,
}

struct Running {
    server: Child,
    /// Kills the server as soon as its input is closed, in whatever way.
    keeper: Child,
}

impl Server {
    /// Prepares and starts a server with these options beside the usual ones.
    pub(crate) fn start(place: Place, extra: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("sea-dao-").tempdir().expect("a temporary folder");
        let owner = owner();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("permissions");
        let home = folder.path().join("server");
        fs::create_dir(&home).expect("a folder");
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&home, Some(user), Some(group)).expect("the server's own folder");
        }
        let extra = extra.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { place, folder, owner, extra, port: 0, running: None };
        server.prepare();
        server.start_again();
        server
    }

    pub(crate) fn url(&self) -> String {
        match self.place {
            Place::Postgres => format!("postgres://postgres@127.0.0.1:{}/postgres", self.port),
            _ => format!("mysql://root@127.0.0.1:{}/mysql", self.port),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// PostgreSQL's folder of settings.
    pub(crate) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Ends the server, its sessions with it.
    pub(crate) fn stop(&mut self) {
        let Some(Running { mut server, mut keeper }) = self.running.take() else { return };
        // Fast for PostgreSQL, which after TERM waits for its clients; MariaDB ignores INT.
        let signal = if self.place == Place::Postgres { "INT" } else { "TERM" };
        kill(signal, server.id());
        let started = Instant::now();
        while server.try_wait().expect("the server's state").is_none() {
            if started.elapsed() > Duration::from_secs(20) {
                let _ = server.kill();
            }
            sleep(Duration::from_millis(10));
        }
        let _ = keeper.kill();
        let _ = keeper.wait();
    }

    /// Starts the server, on the port that it had before.
    pub(crate) fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let first = self.port == 0;
        for _ in 0..20 {
            if first {
                // Below the ports that systems give to outgoing connections.
                self.port = fastrand::u16(20_000..32_000);
            }
            self.launch();
            if self.is_ready() {
                return;
            }
            self.stop();
            let log = self.log_text().to_lowercase();
            if !first || !(log.contains("already in use") || log.contains("bind on tcp")) {
                break;
            }
        }
        panic!("the server does not start:\n{}", self.log_text());
    }

    fn prepare(&self) {
        let home = self.home();
        let mut command = match self.place {
            Place::Postgres => {
                let mut command = self.command(&postgres_program("initdb"));
                command.env("LC_ALL", "C").arg("-D").arg(home.join("data"));
                command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
                command
            }
            _ => {
                let sql = "CREATE USER IF NOT EXISTS root@127.0.0.1;\n\
                           GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;\n";
                fs::write(home.join("init.sql"), sql).expect("init.sql");
                let mut command = self.command(Path::new(&variable("TEST_MYSQL_INSTALL_DB")));
                command.arg("--no-defaults").arg(format!("--datadir={}", home.join("data").display()));
                command.arg(format!("--tmpdir={}", home.display()));
                command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
                command
            }
        };
        let status = command.status().expect("the program that prepares a server");
        assert!(status.success(), "the server cannot be prepared:\n{}", self.log_text());
    }

    fn launch(&mut self) {
        File::create(self.log()).expect("the log");
        let home = self.home();
        let mut command = match self.place {
            Place::Postgres => {
                let mut command = self.command(&postgres_program("postgres"));
                command.env("LC_ALL", "C").arg("-D").arg(home.join("data"));
                let sockets = format!("unix_socket_directories={}", home.display());
                let port = format!("port={}", self.port);
                for setting in [
                    port.as_str(),
                    &sockets,
                    "listen_addresses=127.0.0.1",
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                    "jit=off",
                ] {
                    command.arg("-c").arg(setting);
                }
                command
            }
            _ => {
                let mut command = self.command(Path::new(&variable("TEST_MYSQLD")));
                let home = home.display();
                command.arg("--no-defaults").args([
                    format!("--datadir={home}/data"),
                    format!("--tmpdir={home}"),
                    format!("--socket={home}/socket"),
                    format!("--pid-file={home}/pid"),
                    format!("--init-file={home}/init.sql"),
                    format!("--port={}", self.port),
                ]);
                command.args([
                    "--skip-networking=0",
                    "--bind-address=127.0.0.1",
                    "--loose-mysqlx=OFF",
                    "--innodb-buffer-pool-size=32M",
                    "--performance-schema=OFF",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--skip-log-bin",
                    "--character-set-server=utf8mb4",
                ]);
                command
            }
        };
        let server = command.args(&self.extra).spawn().expect("the server program");
        // QUIT lets PostgreSQL end its children; MariaDB has none.
        let keeper = Command::new("sh")
            .args(["-c", r#"trap "" INT TERM HUP; read -r _; kill -s QUIT "$1"; sleep 1; kill -s KILL "$1""#, "keeper"])
            .arg(server.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the keeper");
        self.running = Some(Running { server, keeper });
    }

    fn is_ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let log = self.log_text();
            if log.contains("ready to accept connections") || log.contains("ready for connections") {
                return true;
            }
            let Some(running) = &mut self.running else { return false };
            if running.server.try_wait().expect("the server's state").is_some() {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }

    /// A program run as the servers' user, away from the terminal's signals.
    fn command(&self, program: &Path) -> Command {
        let log = File::options().create(true).append(true).open(self.log()).expect("the log");
        let mut command = Command::new(program);
        command.current_dir("/").process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("the log")).stderr(log);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(Running { mut server, mut keeper }) = self.running.take() else { return };
        if self.place == Place::Postgres {
            kill("QUIT", server.id());
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(5) && matches!(server.try_wait(), Ok(None)) {
                sleep(Duration::from_millis(10));
            }
        }
        let _ = server.kill();
        let _ = server.wait();
        let _ = keeper.kill();
        let _ = keeper.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn kill(signal: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(sent.expect("the program kill").success(), "no signal was sent");
}

fn variable(name: &str) -> String {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: use tests/run, which finds the server programs"),
    }
}

fn postgres_program(name: &str) -> PathBuf {
    Path::new(&variable("TEST_POSTGRES_BIN")).join(name)
}

/// The user and group as which the servers run, when it is not the tests' own.
fn owner() -> Option<(u32, u32)> {
    let user = env::var("TEST_SERVER_USER").ok().filter(|user| !user.is_empty())?;
    let id = |option: &str| {
        let output = Command::new("id").args([option, &user]).output().expect("the program id");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim().parse().unwrap_or_else(|_| panic!("there is no user {user}"))
    };
    Some((id("-u"), id("-g")))
}
