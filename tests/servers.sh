# Throwaway database servers for the tests; sourced by tests/run.
# shellcheck shell=bash

folder=""      # everything the servers write, removed at the end
keeper=""      # the process that stops the servers and removes the folder
job=""         # the process started last by `spawn`

say() { printf 'tests/run: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

# --- Finding and installing the server programs ------------------------------

# Folders outside PATH where systems keep the programs, highest version first.
program_folders() {
    local brew
    for brew in /opt/homebrew /usr/local /home/linuxbrew/.linuxbrew; do
        set -- "$@" "$brew"/opt/postgresql*/bin "$brew"/opt/mariadb*/bin
    done
    printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* "$@" |
        sed 's/.*[^0-9]\([0-9][0-9]*\)[^0-9]*$/\1 &/' | sort -rn | cut -d' ' -f2-
    printf '%s\n' /usr/sbin /usr/libexec /usr/local/sbin /opt/homebrew/bin
}

all_folders() {
    printf '%s' "$PATH" | tr ':' '\n'
    echo
    program_folders
}

# The first folder that holds all the named programs.
folder_with() {
    local candidate program
    while IFS= read -r candidate; do
        for program in "$@"; do
            [ -x "$candidate/$program" ] || continue 2
        done
        printf '%s\n' "$candidate"
        return
    done <<<"$(all_folders)"
    return 1
}

# The path of the first of the named programs that exists.
program() {
    local name where
    for name in "$@"; do
        where=$(folder_with "$name") && printf '%s\n' "$where/$name" && return
    done
    return 1
}

find_postgres() {
    TEST_POSTGRES_BIN=${TEST_POSTGRES_BIN:-$(folder_with initdb pg_ctl postgres)}
}

find_mysql() {
    TEST_MYSQLD=${TEST_MYSQLD:-$(program mariadbd mysqld)} || return
    TEST_MYSQL_INSTALL_DB=${TEST_MYSQL_INSTALL_DB:-$(program mariadb-install-db mysql_install_db)} ||
        ! is_mariadb
}

is_mariadb() { "$TEST_MYSQLD" --no-defaults --version | grep -qi mariadb; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs a package, named as in: install postgresql dnf=postgresql-server.
install() {
    local manager name=$1 special
    for manager in apt-get dnf apk pacman brew ""; do
        command -v "$manager" >/dev/null && break
    done
    [ -n "$manager" ] || { say "found no package manager that it knows"; return 1; }
    for special in "${@:2}"; do
        [ "${special%%=*}" != "$manager" ] || name=${special#*=}
    done
    say "installing $name with $manager"
    case $manager in
        apt-get)
            # RUNLEVEL=1 keeps the package from starting a server of the whole machine;
            # --no-remove keeps MariaDB from pushing out a MySQL that is there.
            as_root apt-get update -q
            as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
                apt-get install -q -y --no-install-recommends --no-remove "$name" ;;
        dnf) as_root dnf install -q -y "$name" ;;
        apk) as_root apk add --update-cache "$name" ;;
        pacman) as_root pacman -Sy --noconfirm --needed "$name" ;;
        brew) brew install "$name" ;;
    esac >&2
}

need_postgres() {
    find_postgres && return
    install postgresql dnf=postgresql-server brew=postgresql@17 || true
    find_postgres && return
    fail "The PostgreSQL server programs (initdb, pg_ctl, postgres) are missing and could not" \
        "be installed. Install your system's PostgreSQL server package, or name the folder of" \
        "the programs in TEST_POSTGRES_BIN, or give a server to use in TEST_POSTGRES_URL."
}

need_mysql() {
    find_mysql && return
    install mariadb apt-get=mariadb-server dnf=mariadb-server || true
    find_mysql && return
    fail "The MariaDB server programs (mariadbd, mariadb-install-db) are missing and could not" \
        "be installed. Install your system's MariaDB server package, or name the server program" \
        "in TEST_MYSQLD, or give a server to use in TEST_MYSQL_URL."
}

# --- Processes ---------------------------------------------------------------

# Replaces the current subshell by a command run as the servers' user.
as_server_user() {
    cd /
    if [ -z "$TEST_SERVER_USER" ]; then
        exec "$@"
    elif setpriv --clear-groups true 2>/dev/null; then
        exec setpriv --reuid="$TEST_SERVER_USER" --regid="$(id -g "$TEST_SERVER_USER")" \
            --clear-groups -- "$@"
    else
        exec su -s /bin/sh "$TEST_SERVER_USER" -c "exec $(printf '%q ' "$@")"
    fi
}

# Starts a command behind the script: spawn LOG COMMAND…. `set -m` gives it a process group of
# its own, which Ctrl-C does not reach and which can be stopped as a whole.
spawn() {
    set -m
    "${@:2}" </dev/null >>"$1" 2>&1 9>&- &
    job=$!
    set +m
    record_jobs
}

record_jobs() { jobs -p | grep -vx "$keeper" >"$folder/pids" || true; }

# Ends processes (or process groups: -PID), and last what is left of the groups they lead, which
# is not signalled sooner because initdb can then let its children finish cleanly. QUIT is for
# PostgreSQL, which after TERM waits for its clients.
stop() {
    local signal target _
    for signal in TERM QUIT KILL; do
        for target in "$@"; do kill -s "$signal" -- "$target" 2>/dev/null; done
        for _ in {1..50}; do
            any_alive "$@" || break 2
            sleep 0.1
        done
    done
    for target in "$@"; do kill -s KILL -- "-${target#-}" 2>/dev/null; done
}

# Says `return 0` since a bare `return` below a trap gives the status from before the trap.
any_alive() {
    local target
    for target in "$@"; do
        if kill -0 "${target#-}" 2>/dev/null; then return 0; fi
    done
    return 1
}

# The keeper waits until the script ends in whatever way (even by KILL), which closes the last
# writing end of its input, and cleans up.
start_keeper() {
    mkfifo "$folder/alive"
    exec 9<>"$folder/alive"
    set -m
    keep <"$folder/alive" >/dev/null 2>&1 9>&- &
    keeper=$!
    set +m
}

keep() {
    set +e
    trap '' INT TERM HUP QUIT
    read -r _
    # shellcheck disable=SC2046 # a list of numbers
    stop $(cat "$folder/pids")
    rm -rf "$folder"
}

stop_servers() {
    [ -n "$folder" ] || return 0
    if [ -z "$keeper" ]; then
        rm -rf "$folder"
        return
    fi
    record_jobs
    exec 9>&-
    wait "$keeper" 2>/dev/null
}

# --- The servers -------------------------------------------------------------

# Socket paths must stay under 104 bytes, and the servers' user must reach the folder.
make_folder() {
    local parent
    parent=$(cd "${TMPDIR:-/tmp}" && pwd)
    # shellcheck disable=SC2016 # expanded by the inner shell
    if [ ${#parent} -gt 60 ] || ! (as_server_user sh -c '[ -x "$0" ]' "$parent"); then
        parent=/tmp
    fi
    folder=$(mktemp -d "$parent/sea-dao.XXXXXX")
    chmod 711 "$folder"
    : >"$folder/pids"
    start_keeper
}

# Makes a folder of the servers' user.
server_folder() {
    mkdir "$1"
    [ -z "$TEST_SERVER_USER" ] || chown "$TEST_SERVER_USER" "$1"
}

prepare_postgres() {
    as_server_user env LC_ALL=C "$TEST_POSTGRES_BIN/initdb" -D "$folder/postgres/data" \
        -U postgres -A trust -E UTF8 --locale=C --no-sync
}

launch_postgres() {
    as_server_user env LC_ALL=C "$TEST_POSTGRES_BIN/postgres" -D "$folder/postgres/data" \
        -c port="$1" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$folder/postgres" -c max_connections=400 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c jit=off
}

prepare_mysql() {
    set -- --no-defaults --datadir="$folder/mysql/data" --tmpdir="$folder/mysql"
    if is_mariadb; then
        as_server_user "$TEST_MYSQL_INSTALL_DB" "$@" --auth-root-authentication-method=normal \
            --skip-test-db
    else
        as_server_user "$TEST_MYSQLD" "$@" --initialize-insecure
    fi
}

launch_mysql() {
    as_server_user "$TEST_MYSQLD" --no-defaults \
        --datadir="$folder/mysql/data" --tmpdir="$folder/mysql" \
        --socket="$folder/mysql/socket" --pid-file="$folder/mysql/pid" \
        --init-file="$folder/mysql/init.sql" \
        --skip-networking=0 --bind-address=127.0.0.1 --port="$1" --loose-mysqlx=OFF \
        --max-connections=400 --innodb-buffer-pool-size=64M --performance-schema=OFF \
        --innodb-flush-log-at-trx-commit=0 --sync-binlog=0 --skip-log-bin \
        --character-set-server=utf8mb4
}

# Prepares and starts the server NAME and leaves its port in $port. Any process may take a port
# at any moment, so the server's own attempt decides whether it is free. The range lies below
# the ports that systems give to outgoing connections.
start_server() {
    local name=$1 _
    server_folder "$folder/$name"
    [ "$name" != mysql ] || echo "CREATE USER IF NOT EXISTS root@127.0.0.1;" \
        "GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;" >"$folder/mysql/init.sql"
    spawn "$folder/$name.prepare.log" "prepare_$name"
    wait "$job" || fail_with_log "Could not prepare a $name server" "$folder/$name.prepare.log"
    for _ in {1..20}; do
        port=$((20000 + RANDOM % 12000))
        : >"$folder/$name.log"
        spawn "$folder/$name.log" "launch_$name" "$port"
        wait_ready "$folder/$name.log" && return
        grep -Eiq 'address already in use|could not bind|bind on tcp' "$folder/$name.log" || break
    done
    fail_with_log "The $name server did not start" "$folder/$name.log"
}

# Waits up to a minute until the server that `spawn` started says in its log that it is ready.
wait_ready() {
    local _
    for _ in {1..600}; do
        grep -Eq 'ready (to accept|for) connections' "$1" && return
        any_alive "$job" || return
        sleep 0.1
    done
    return 1
}

fail_with_log() {
    say "$1. The end of its log:"
    tail -n 30 "$2" >&2
    exit 1
}

start_servers() {
    TEST_SERVER_USER=""
    [ "$(id -u)" -ne 0 ] || TEST_SERVER_USER=nobody
    if [ -n "${TEST_POSTGRES_URL:-}" ]; then find_postgres || true; else need_postgres; fi
    if [ -n "${TEST_MYSQL_URL:-}" ]; then find_mysql || true; else need_mysql; fi
    make_folder
    if [ -z "${TEST_POSTGRES_URL:-}" ]; then
        start_server postgres
        TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:$port/postgres
    fi
    if [ -z "${TEST_MYSQL_URL:-}" ]; then
        start_server mysql
        TEST_MYSQL_URL=mysql://root@127.0.0.1:$port/mysql
    fi
    export TEST_POSTGRES_URL TEST_POSTGRES_BIN TEST_MYSQL_URL TEST_MYSQLD TEST_MYSQL_INSTALL_DB
    export TEST_SERVER_USER
}
