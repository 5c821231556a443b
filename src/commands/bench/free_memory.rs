//! How much memory there is left to take: the machine's, or less where a control group grants less.

use std::fs;
use std::path::{Path, PathBuf};

use super::memory::kilobytes;

/// What the system tells about the control groups of a process.
struct Groups<'a> {
    /// `/proc/self/cgroup`
    membership: &'a str,
    /// Where the hierarchies are mounted.
    root: &'a Path,
}

/// How a version of control groups spells what is asked here.
struct Spelling {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` with the bytes of files that are given back where memory runs short.
    inactive: &'static str,
}

const FIRST: Spelling =
    Spelling { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", inactive: "total_inactive_file " };
const SECOND: Spelling = Spelling { limit: "memory.max", usage: "memory.current", inactive: "inactive_file " };

/// Bytes that this process may still take; `None` where the system does not say.
pub fn available() -> Option<u64> {
    let machine = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = Groups { membership: &membership, root: Path::new("/sys/fs/cgroup") };
    Some(groups.left().map_or(machine, |group| group.min(machine)))
}

impl Groups<'_> {
    /// The least that the process's group and those around it have left; `None` without a limit.
    fn left(&self) -> Option<u64> {
        // hierarchy:controllers:path, where version 2 is the one without controllers (cgroups(7)).
        let groups = self.membership.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        let left = groups.flat_map(|(controllers, path)| {
            let first = controllers.split(',').any(|controller| controller == "memory");
            let (mount, spelling) = match (first, controllers) {
                (true, _) => (self.root.join("memory"), &FIRST),
                (false, "") => (self.root.to_owned(), &SECOND),
                (false, _) => return Vec::new(),
            };
            // In a container the mount is often the group itself, whatever its path outside.
            let folders = Path::new(path).ancestors().map(|path| below(&mount, path));
            folders.filter_map(|folder| spelling.left(&folder)).collect::<Vec<_>>()
        });
        left.min()
    }
}

impl Spelling {
    /// What a group has left of its limit, if it has one.
    fn left(&self, folder: &Path) -> Option<u64> {
        let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let inactive = statistics.lines().find_map(|line| line.strip_prefix(self.inactive)?.trim().parse().ok());
        Some(limit.saturating_sub(usage.saturating_sub(inactive.unwrap_or(0))))
    }
}

fn below(mount: &Path, path: &Path) -> PathBuf {
    mount.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, folder: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(folder)).unwrap();
        files.iter().for_each(|(name, text)| fs::write(root.join(folder).join(name), text).unwrap());
    }

    #[test]
    fn the_tightest_group_around_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a", &[("memory.max", "1000\n"), ("memory.current", "400\n")]);
        let statistics = ("memory.stat", "file 70\ninactive_file 50\n");
        group(root.path(), "a/b", &[("memory.max", "max\n"), ("memory.current", "9\n"), statistics]);
        let left = |membership| Groups { membership, root: root.path() }.left();
        assert_eq!(left("0::/a/b\n"), Some(600));
        group(root.path(), "a/b", &[("memory.max", "500\n"), ("memory.current", "200\n")]);
        assert_eq!(left("0::/a/b\n"), Some(350), "files that are given back are no usage");
        assert_eq!(left("0::/\n"), None);
    }

    #[test]
    fn the_first_version_has_the_controller_in_the_line() {
        let root = tempfile::tempdir().unwrap();
        let files = [("memory.limit_in_bytes", "1000"), ("memory.usage_in_bytes", "1200"), ("memory.stat", "")];
        group(root.path(), "memory/x", &files);
        let left = |membership| Groups { membership, root: root.path() }.left();
        assert_eq!(left("4:cpu,memory:/x\n2:cpu:/y\n"), Some(0), "over its limit it has nothing left");
        assert_eq!(left("4:cpuset:/x\n0::/\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_some() {
        assert!(available().unwrap() > 1 << 20);
    }
}
