//! One spelling of flags: `--val_dir`, as the original `infer.py` and parts of timm write it, means `--val-dir`, and
//! timm's two-letter `-vb` of `train` means `--validation-batch-size`.

use std::ffi::{OsStr, OsString};

/// Replaces underscores in the names of long flags, up to a `=`; values and everything after `--` stay as they are.
pub fn hyphenate(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut flags_ended = false;
    let mut command = None;
    args.into_iter()
        .enumerate()
        .map(|(place, arg)| {
            flags_ended |= arg == "--";
            if flags_ended {
                return arg;
            }
            if command.is_none() && place > 0 && !arg.as_encoded_bytes().starts_with(b"-") {
                command = Some(arg.clone());
            }
            // Elsewhere the letters are two flags.
            if command.as_ref().is_some_and(|command| command == "train") { lengthen(arg) } else { hyphenate_one(arg) }
        })
        .collect()
}

/// As [`hyphenate_one`], and `-vb` or `-vb=N` as the flag that they stand for.
fn lengthen(arg: OsString) -> OsString {
    match arg.to_str().and_then(|text| text.strip_prefix("-vb")) {
        Some(rest) if rest.is_empty() || rest.starts_with('=') => format!("--validation-batch-size{rest}").into(),
        _ => hyphenate_one(arg),
    }
}

fn hyphenate_one(arg: OsString) -> OsString {
    let bytes = arg.as_encoded_bytes();
    if !bytes.starts_with(b"--") {
        return arg;
    }
    let name_len = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
    // A name that is not UTF-8 is no flag of ours: clap will say so.
    let Ok(name) = std::str::from_utf8(&bytes[..name_len]) else {
        return arg;
    };
    let mut spelled = OsString::from(name.replace('_', "-"));
    spelled.push(after(&arg, name_len));
    spelled
}

/// `arg` without its first `len` bytes, for a value that need not be UTF-8.
#[cfg(unix)]
fn after(arg: &OsStr, len: usize) -> &OsStr {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(&arg.as_bytes()[len..])
}

/// `arg` without its first `len` bytes; where arguments are not bytes, a value must be Unicode.
#[cfg(not(unix))]
fn after(arg: &OsStr, len: usize) -> OsString {
    arg.to_string_lossy()[len..].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(args: &[&str]) -> Vec<OsString> {
        hyphenate(args.iter().map(OsString::from))
    }

    #[test]
    fn underscores_in_names_become_hyphens_and_values_keep_theirs() {
        assert_eq!(
            spelled(&["--val_dir=/a_b/c_d", "--model_path", "m_1.pth"]),
            ["--val-dir=/a_b/c_d", "--model-path", "m_1.pth"]
        );
    }

    #[test]
    fn short_flags_and_what_follows_two_hyphens_are_left_alone() {
        assert_eq!(spelled(&["-b=1_0", "--", "--a_b"]), ["-b=1_0", "--", "--a_b"]);
    }

    #[test]
    fn two_letters_are_one_flag_of_train_alone() {
        let train = ["tresnet", "--quiet", "train", "-vb", "64", "-vb=32"];
        let long = ["tresnet", "--quiet", "train", "--validation-batch-size", "64", "--validation-batch-size=32"];
        assert_eq!(spelled(&train), long);
        assert_eq!(spelled(&["tresnet", "infer", "-vb", "64"]), ["tresnet", "infer", "-vb", "64"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_unicode_survives() {
        use std::os::unix::ffi::OsStringExt;
        let raw = OsString::from_vec(b"--val_dir=/caf\xe9_x".to_vec());
        assert_eq!(hyphenate([raw]), [OsString::from_vec(b"--val-dir=/caf\xe9_x".to_vec())]);
    }
}
