//! The example says which line of a malformed file is wrong, and imports nothing of it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{env, fs, path::PathBuf, process::Command};

/// Builds the example as it was built beside the tests: with the same features, and without what cargo tells a test of
/// its package, after which build scripts would run again.
fn example() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        cargo.env_remove(name);
    }
    cargo.args(["build", "--quiet", "--workspace", "--all-features", "--example", "user_dao"]);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/user_dao")
}

/// Runs the example on a file with this text, and gives what it printed to both streams.
fn run(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (file, database) = (folder.path().join("users.csv"), folder.path().join("users.db"));
    fs::write(&file, text).unwrap();
    let url = format!("sqlite:{}?mode=rwc", database.display());
    let output = Command::new(example()).arg(&file).env("DATABASE_URL", url).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), printed)
}

#[test]
fn sqlite_the_line_of_a_malformed_row_is_named() {
    const HEAD: &str = "username,email,phone,status,balance\n";
    for (rows, said) in [
        ("a,,1,1,1\nb,,2,x,1\n", "line 3: field 3"),
        ("a,,1,1,1\n\nb,,2,x,1\n", "line 4: field 3"),
        ("a,,1,1,1\r\n\r\n\r\nb,,2,1\r\n", "line 5: 4 fields where 5 belong"),
        ("a,,1,1,1\nb,,1,1,1", "line 3: phone 1 is on line 2 too"),
        ("a,,1,1,-1\n", "line 2: balance -1 is below zero"),
        ("a,,1,1,1\n,,2,1,1\n", "line 3: username must have"),
    ] {
        let (succeeded, printed) = run(&format!("{HEAD}{rows}"));
        assert!(!succeeded && printed.contains(said), "{rows:?}: {printed}");
        assert!(!printed.contains("COMMIT"), "{rows:?}: {printed}");
    }
}

#[test]
fn sqlite_a_small_file_runs_to_its_end() {
    let (succeeded, printed) = run("username,email,phone,status,balance\na,,1,1,10\nb,,2,1,0\n");
    assert!(succeeded && printed.contains("2 users, 2 in all") && printed.contains("closed    size 0"), "{printed}");
}
