//! Folders: what is taken, what is left out, what is refused.

#![cfg(test)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use jobwright_package::{Limits, read, read_path, read_path_within};

fn folder(fill: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("package.yaml"), "jobwright: 1\nname: p\nflows: { f: {} }\n")
        .unwrap();
    fill(folder.path());
    folder
}

#[test]
fn files_are_taken_and_hidden_ones_left_out() {
    let folder = folder(|at| {
        fs::create_dir_all(at.join("sql/.git")).unwrap();
        fs::write(at.join("sql/b.sql"), "b").unwrap();
        fs::write(at.join("sql/.git/config"), "hidden").unwrap();
        fs::write(at.join(".env"), "TOKEN=x").unwrap();
        symlink("/etc/passwd", at.join(".link")).unwrap();
        fs::write(at.join("a.sh"), "a").unwrap();
        fs::set_permissions(at.join("a.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    });
    let package = read_path(folder.path()).unwrap().package;
    let found: Vec<_> =
        package.artifacts.iter().map(|it| (it.path.as_str(), it.size, it.executable)).collect();
    assert_eq!(found, [("a.sh", 1, true), ("sql/b.sql", 1, false)]);
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let check = |fill: fn(&Path), expect: &str| {
        let folder = folder(fill);
        let error = read_path(folder.path()).unwrap_err().to_string();
        let root = format!("{}/", folder.path().display());
        assert_eq!(error.replace(&root, ""), expect);
    };
    let only = "only files and directories are allowed";
    check(
        |at| symlink("/etc/passwd", at.join("link")).unwrap(),
        &format!("`link` is a symbolic link, {only}"),
    );
    check(
        |at| {
            fs::create_dir(at.join("sub")).unwrap();
            symlink("..", at.join("sub/up")).unwrap();
        },
        &format!("`sub/up` is a symbolic link, {only}"),
    );
    check(
        |at| drop(std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap()),
        &format!("`socket` is a special file, {only}"),
    );
    check(|at| fs::write(at.join("a\\b"), "x").unwrap(), "path `a\\b` holds a backslash");
    check(
        |at| fs::remove_file(at.join("package.yaml")).unwrap(),
        "this is no package: at its root there is neither `package.yaml` nor an exported flow \
         (`.json`, `.json5`)",
    );
}

#[test]
fn bounds_hold_for_folders_and_files() {
    let mut limits = Limits::default();
    limits.file_bytes = 100;
    limits.total_bytes = 150;
    limits.entries = 3;
    let check = |sizes: &[usize], expect: &str| {
        let folder = folder(|at| {
            for (number, size) in sizes.iter().enumerate() {
                fs::write(at.join(format!("{number}")), vec![b'x'; *size]).unwrap();
            }
        });
        let error = read_path_within(folder.path(), &limits).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&[101], "0` has more than 100 bytes");
    check(&[100, 100], "the files of the folder have more than 150 bytes");
    check(&[1, 1, 1], "the folder has more than 3 entries");
    let folder = folder(|at| fs::write(at.join("big"), [0; 151]).unwrap());
    let error = read_path_within(folder.path().join("big"), &limits).unwrap_err().to_string();
    assert!(error.ends_with("big` has more than 150 bytes"), "{error}");
    let error = read_path(folder.path().join("none")).unwrap_err().to_string();
    assert!(error.ends_with("none` cannot be read"), "{error}");
}

#[test]
fn a_folder_and_its_archive_are_one_package() {
    let folder = folder(|at| {
        fs::create_dir(at.join("sql")).unwrap();
        fs::write(at.join("sql/b.sql"), "b").unwrap();
    });
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for path in ["sql/b.sql", "package.yaml"] {
        writer.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
        let content = fs::read(folder.path().join(path)).unwrap();
        std::io::Write::write_all(&mut writer, &content).unwrap();
    }
    let packed = writer.finish().unwrap().into_inner();
    assert_eq!(read(&packed).unwrap(), read_path(folder.path()).unwrap());
}
