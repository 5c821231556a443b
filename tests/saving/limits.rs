//! A real limit of the operating system in the middle of a save: this test program runs itself under `ulimit -f`.

use std::path::Path;
use std::process::{Command, Output};

use tresnet::checkpoint::ResumeFiles;

use crate::{is_of, newest, save_state};

/// Tells the child where to save its state.
const FOLDER: &str = "TRESNET_TEST_LIMITED_FOLDER";

/// Runs [`a_child_saves_under_the_limit`] with files limited to 256 KiB, a quarter of the state. What happens at the
/// limit is the shell's `trap`.
#[cfg(unix)]
fn save_limited(folder: &Path, trap: &str) -> Output {
    let script = format!(
        "{trap} ulimit -f 512 || exit 9; exec \"$0\" --exact limits::a_child_saves_under_the_limit --nocapture"
    );
    let child =
        Command::new("sh").args(["-c", &script]).arg(std::env::current_exe().unwrap()).env(FOLDER, folder).output();
    child.unwrap()
}

#[test]
fn a_child_saves_under_the_limit() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut files = ResumeFiles::new(Path::new(&folder));
        files.newest().unwrap();
        let error = save_state(&mut files, 3).unwrap_err().to_string();
        println!("refused: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_refused_write_is_said_and_a_killed_one_leaves_the_states_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = ResumeFiles::new(folder.path());
    save_state(&mut files, 1).unwrap();
    save_state(&mut files, 2).unwrap();
    let count = || std::fs::read_dir(folder.path()).unwrap().count();

    let refused = save_limited(folder.path(), "trap '' XFSZ;");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(refused.status.success(), "{said}");
    let path = folder.path().join(ResumeFiles::LAST);
    assert!(said.contains(&format!("refused: cannot save {}: ", path.display())), "{said}");
    assert!(said.contains("free some space"), "{said}");
    assert_eq!(count(), 2);
    is_of(&newest(folder.path()), 2);

    let killed = save_limited(folder.path(), "");
    assert_eq!(killed.status.code(), None, "a signal ends it: {killed:?}");
    assert_eq!(count(), 3, "its unfinished file lies there");
    is_of(&newest(folder.path()), 2);
    assert_eq!(count(), 2, "and is swept by the next run");
}

#[test]
fn a_folder_that_has_gone_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let mut files = ResumeFiles::new(&gone);
    save_state(&mut files, 1).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    let error = save_state(&mut files, 2).unwrap_err().to_string();
    assert!(error.contains(ResumeFiles::LAST) && error.contains("its folder has gone"), "{error}");
}
