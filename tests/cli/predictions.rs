//! The predictions: one row an image, in dataset order.

use std::fs;

use serde_json::Value;

use crate::run::{digits_tar, infer};

/// The file that a run with these flags writes.
fn predictions(name: &str, flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let flags: Vec<&str> = flags.iter().copied().chain(["--predictions", file.to_str().unwrap()]).collect();
    infer(&digits_tar(), &flags).ended_with(0);
    fs::read_to_string(file).unwrap()
}

#[test]
fn csv_has_a_header_and_a_row_an_image_in_dataset_order() {
    let text = predictions("p.csv", &["--topk=3"]);
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["path", "label", "top1", "top2", "top3", "score1", "score2", "score3"]);
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 364);
    let paths: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
    assert!(paths.is_sorted() && paths[0] == "0/0000.png", "{paths:?}");
    for row in &rows {
        assert!(row[0].starts_with(&format!("{}/", &row[1])), "the label is the folder's number: {row:?}");
        let scores: Vec<f64> = (5..8).map(|at| row[at].parse().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0, "{row:?}");
    }
}

#[test]
fn json_lines_have_four_keys_and_no_more_ranks_than_classes() {
    let text = predictions("p.jsonl", &["--topk=50"]);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 364);
    for row in &rows {
        let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["path", "label", "topk", "scores"]);
        assert_eq!((row["topk"].as_array().unwrap().len(), row["scores"].as_array().unwrap().len()), (10, 10));
        let sum: f64 = row["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "probabilities of all classes sum to {sum}");
    }
}

#[test]
fn logits_are_not_probabilities_and_rank_the_same() {
    let (logits, probabilities) = (predictions("p.jsonl", &["--scores=logit"]), predictions("p.jsonl", &[]));
    let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    for (logits, probabilities) in logits.lines().map(parse).zip(probabilities.lines().map(parse)) {
        assert_eq!(logits["topk"], probabilities["topk"]);
        assert!(logits["scores"][0].as_f64().unwrap() > 1.0, "{logits}");
    }
}

#[test]
fn threads_and_batches_change_no_byte() {
    let one = predictions("p.csv", &["--workers=1", "--batch-size=7"]);
    let many = predictions("p.csv", &["--workers=5", "--batch-size=64"]);
    assert!(one == many, "the rows differ");
}
