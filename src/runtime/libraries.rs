//! Where NVIDIA's libraries lie: a toolkit's folders or a Python environment's, found without being told.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// What decides where libraries are sought: the environment's variables and the system's folders.
#[derive(Clone, Debug)]
pub struct Surroundings {
    variables: HashMap<&'static str, OsString>,
    system: Vec<PathBuf>,
}

/// The variables that are looked at.
const VARIABLES: [&str; 7] =
    ["LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PATH", "HOME"];

/// Folders of toolkits, distributions and the Windows subsystem for Linux.
const SYSTEM: [&str; 6] = [
    "/usr/local/cuda/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/wsl/lib",
];

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let found = VARIABLES.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
        Self { variables: found.collect(), system: SYSTEM.map(PathBuf::from).into() }
    }

    /// Variables and system folders as given, and nothing of this machine.
    pub fn new(variables: impl IntoIterator<Item = (&'static str, OsString)>, system: Vec<PathBuf>) -> Self {
        Self { variables: variables.into_iter().collect(), system }
    }

    fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.variables.get(name).map(|value| std::env::split_paths(value).collect()).unwrap_or_default()
    }

    /// Every folder that may hold a library, those that a user named first.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.paths("LD_LIBRARY_PATH");
        for home in ["CUDA_HOME", "CUDA_PATH"].iter().flat_map(|name| self.paths(name)) {
            folders.extend(["lib64", "lib"].map(|sub| home.join(sub)));
        }
        for prefix in self.python_prefixes() {
            folders.extend(wheel_folders(&prefix));
            // Where conda's own packages put theirs.
            folders.push(prefix.join("lib"));
        }
        folders.extend(self.system.iter().cloned());
        folders.retain(|folder| folder.is_dir());
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// The Python environments in sight: the active one, the one of each python on PATH, and the user's own packages.
    fn python_prefixes(&self) -> Vec<PathBuf> {
        let mut prefixes: Vec<PathBuf> =
            ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().flat_map(|name| self.paths(name)).collect();
        for folder in self.paths("PATH") {
            let Some(prefix) = folder.parent() else { continue };
            if ["python3", "python"].iter().any(|python| folder.join(python).exists()) {
                prefixes.push(prefix.to_owned());
                // A distribution's Python keeps what pip installs here.
                prefixes.push(prefix.join("local"));
            }
        }
        prefixes.extend(self.paths("HOME").iter().map(|home| home.join(".local")));
        prefixes
    }
}

/// `lib/python3.*/site-packages/nvidia/*/lib` below a prefix: where NVIDIA's wheels put libraries.
fn wheel_folders(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for python in subfolders(&prefix.join("lib")) {
        if !python.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")) {
            continue;
        }
        for packages in ["site-packages", "dist-packages"] {
            folders
                .extend(subfolders(&python.join(packages).join("nvidia")).into_iter().map(|wheel| wheel.join("lib")));
        }
    }
    folders
}

/// By name, the newest version last name first: `cu13` before `cu12`.
fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// The libraries that convolutions need beside the driver. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    pub cudnn: PathBuf,
    /// The compiler that cuDNN's fused convolutions are made with.
    pub nvrtc: PathBuf,
    /// What that compiler loads by a name which only this one answers to.
    pub nvrtc_builtins: PathBuf,
    /// Matrix products, of which some of cuDNN's convolutions make use.
    pub cublas_lt: Option<PathBuf>,
}

/// A library that is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub library: &'static str,
    pub sought: Vec<PathBuf>,
    wheel: &'static str,
}

impl Libraries {
    /// Looks for all of them.
    ///
    /// # Errors
    /// The first that is missing, and where it was sought.
    pub fn find(surroundings: &Surroundings) -> Result<Self, Missing> {
        let folders = surroundings.folders();
        let missing = |library, wheel| Missing { library, sought: folders.clone(), wheel };
        let cudnn = first(&folders, &["libcudnn.so.9"]).ok_or_else(|| missing("libcudnn.so.9", "nvidia-cudnn-cu13"))?;
        let nvrtc = first(&folders, &["libnvrtc.so.13", "libnvrtc.so.12"])
            .ok_or_else(|| missing("libnvrtc.so.13", "nvidia-cuda-nvrtc"))?;
        let beside: Vec<PathBuf> =
            nvrtc.parent().map(Path::to_owned).into_iter().chain(folders.iter().cloned()).collect();
        let nvrtc_builtins = starting(&beside, "libnvrtc-builtins.so.1")
            .ok_or_else(|| missing("libnvrtc-builtins.so.13.0", "nvidia-cuda-nvrtc"))?;
        Ok(Self {
            cudnn,
            nvrtc,
            nvrtc_builtins,
            cublas_lt: first(&folders, &["libcublasLt.so.13", "libcublasLt.so.12"]),
        })
    }

    /// In the order in which they are to be opened: each finds by name what stands before it.
    pub fn in_order(&self) -> impl Iterator<Item = &Path> {
        let needed = [&self.nvrtc_builtins, &self.nvrtc];
        needed.into_iter().chain(&self.cublas_lt).chain([&self.cudnn]).map(PathBuf::as_path)
    }
}

/// Where nvJPEG lies. Only 13 will do: before it, lines of a picture were an `unsigned int` apart.
///
/// # Errors
/// Where it was sought.
pub fn nvjpeg(surroundings: &Surroundings) -> Result<PathBuf, Missing> {
    const NAME: &str = "libnvjpeg.so.13";
    let sought = surroundings.folders();
    first(&sought, &[NAME]).ok_or(Missing { library: NAME, sought, wheel: "nvidia-nvjpeg" })
}

/// The first name's first folder, else the next name's.
fn first(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
}

/// The first file of a folder whose name starts so.
fn starting(folders: &[PathBuf], prefix: &str) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        let entries = folder.read_dir().ok()?.flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.map(|entry| entry.path()).max()
    })
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { library, wheel, .. } = self;
        let folders: Vec<String> = self.sought.iter().map(|folder| folder.display().to_string()).collect();
        let folders = if folders.is_empty() { "no folder that exists".to_owned() } else { folders.join(", ") };
        write!(f, "{library} is missing: sought in {folders}; `pip install {wheel}` brings it")
    }
}
