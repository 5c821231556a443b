//! The crate's own sources, read far enough to see what each file imports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of `src`.
pub struct Source {
    /// Below `src`, with `/` between.
    pub name: String,
    pub text: String,
    /// The text with comments and literals blanked, line breaks kept.
    pub code: String,
}

impl Source {
    fn new(name: String, text: String) -> Self {
        let code = without_comments_and_literals(&text);
        Self { name, text, code }
    }

    /// The module of the crate's root that the file belongs to.
    pub fn room(&self) -> String {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
    }

    /// How many modules deep the file's items are: 1 for `a.rs` and `a/mod.rs`, 2 for `a/b.rs`.
    fn depth(&self) -> usize {
        self.name.split('/').count() - usize::from(self.name.ends_with("/mod.rs"))
    }

    /// Line and room of every path from the crate's root, and every `super` that climbs out of the room.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let root = if self.name == "main.rs" { "tresnet::" } else { "crate::" };
        let mut found = Vec::new();
        for at in self.paths(root) {
            found.extend(heads(&self.code[at + root.len()..]).into_iter().map(|head| (at, head)));
        }
        for at in self.paths("super::") {
            let before = &self.code[..at];
            let chain = self.code[at..].split("::").take_while(|&segment| segment == "super").count();
            // Inside braces it may stand in an inline module, one step further down.
            let inner = usize::from(before.matches('{').count() > before.matches('}').count());
            if !before.ends_with("super::") && chain >= self.depth() + inner {
                found.push((at, "super".to_owned()));
            }
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(at, head)| (self.code[..at].matches('\n').count() + 1, head)).collect()
    }

    /// Where a path starts with `prefix`.
    fn paths<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(prefix).map(|(at, _)| at).filter(|&at| starts_word(&self.code[..at]))
    }
}

/// Every `.rs` file below `src`, by name.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src is readable") {
            let path: PathBuf = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).expect("it was found below src");
                let text = std::fs::read_to_string(&path).expect("sources are text");
                files.insert(name.to_string_lossy().replace('\\', "/"), text);
            }
        }
    }
    files.into_iter().map(|(name, text)| Source::new(name, text)).collect()
}

/// Identifiers, keywords and numbers.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// First segments of a path, or of each path in a braced list.
fn heads(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else {
        return words(path).take(1).map(str::to_owned).collect();
    };
    let (mut depth, mut found, mut expected) = (0, Vec::new(), true);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && depth == 0 && !character.is_whitespace() => {
                found.extend(words(&list[at..]).take(1).map(str::to_owned));
                expected = false;
            }
            _ => {}
        }
    }
    found
}

fn starts_word(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Blanks what is not code. Enough of Rust's grammar for this crate.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let len = blank(rest, &code);
        if len == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            code.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[len..];
        }
    }
    code
}

/// Length of the comment or literal that `rest` starts with; 0 for code.
fn blank(rest: &str, before: &str) -> usize {
    let until = |start: usize, end: &str| rest[start..].find(end).map_or(rest.len(), |at| start + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    let hashes = rest.strip_prefix('r').map(|after| after.len() - after.trim_start_matches('#').len());
    let raw = |hashes: &usize| rest[1 + hashes..].starts_with('"') && starts_word(before.trim_end_matches('b'));
    if let Some(hashes) = hashes.filter(raw) {
        return until(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    // A quote that closes within a character or an escape is a character; any other is a lifetime.
    let mut next = rest.strip_prefix('\'').into_iter().flat_map(str::chars);
    match (next.next(), next.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
        _ => 0,
    }
}

/// Length of the literal between two unescaped quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn the_reader_sees_nested_and_inline_paths_and_no_comments() {
    let text = "//! use crate::lost;\n\
                use crate::{ops::{self, conv}, nn::Conv,\n    data};\n\
                fn f() { crate::report::print(\"use crate::no\") }\n\
                /* crate::gone */ let c = '\"'; use super::super::x; use super::y; mod tests { use super::*; }\n\
                pub(crate) fn g<'a>(b: &'a str) { r#\"crate::raw\"# }";
    let file = Source::new("models/a.rs".into(), text.into());
    let found: Vec<String> = file.imports().into_iter().map(|(line, room)| format!("{line} {room}")).collect();
    assert_eq!(found, ["2 ops", "2 nn", "2 data", "4 report", "5 super"]);
    let root = Source::new("a.rs".into(), "use super::b;\nmod tests { use super::*; }".into());
    assert_eq!(root.imports(), [(1, "super".to_owned())]);
    let main = Source::new("main.rs".into(), "use tresnet::commands;\nfn main() { tresnet::cli::parse() }".into());
    assert_eq!(main.imports(), [(1, "commands".to_owned()), (2, "cli".to_owned())]);
}
