//! `bench --profile`: where a batch's time goes, in every form of the table.

use serde_json::Value;

use crate::run::{Finished, tresnet};

fn profile(more: &[&str]) -> Finished {
    tresnet(["bench", "--models=resnet20", "-b=2", "--iters=2", "--warmup=1"].iter().chain(more))
}

fn numbers(lines: &Value, key: &str) -> Vec<f64> {
    lines.as_array().unwrap().iter().map(|line| line[key].as_f64().unwrap()).collect()
}

#[test]
fn ops_and_kinds_and_what_lies_between_make_up_the_batch() {
    let json = profile(&["--modes=infer,train", "--profile=1000", "--format=json"]).ended_with(0).json();
    let limits = &json["limits"];
    assert!(limits["gflop_per_sec"].as_f64().unwrap() > 0.0, "{limits}");
    assert!(numbers(&limits["bandwidth"], "gb_per_sec").iter().all(|&rate| rate > 0.0), "{limits}");
    for (profile, mode) in json["profiles"].as_array().unwrap().iter().zip(["infer", "train"]) {
        assert_eq!(
            (&profile["model"], &profile["mode"], &profile["batches"]),
            (&"resnet20".into(), &mode.into(), &2.into())
        );
        let batch = profile["batch_ms"].as_f64().unwrap();
        let [ops, kinds] = ["ops", "kinds"].map(|level| numbers(&profile[level], "ms"));
        let sum: f64 = ops.iter().sum();
        assert!((sum - kinds.iter().sum::<f64>()).abs() < 1e-6 * batch, "{profile}");
        assert!((sum + profile["between_ops_ms"].as_f64().unwrap() - batch).abs() < 1e-6 * batch, "{profile}");
        assert!(ops.is_sorted_by(|a, b| a >= b) && kinds.is_sorted_by(|a, b| a >= b), "the longest come first");
        let shares: f64 = numbers(&profile["kinds"], "share").iter().sum();
        assert!((shares - sum / batch).abs() < 1e-6, "{profile}");
    }
}

#[test]
fn each_op_stands_with_its_kind_sizes_and_calls() {
    let json = profile(&["--modes=infer,train", "--profile=1000", "--format=json"]).ended_with(0).json();
    let ops = |at: usize| json["profiles"][at]["ops"].as_array().unwrap().clone();
    let named = |at: usize, kind: &str| {
        let found = ops(at).into_iter().find(|op| op["op"] == "layers.2.1.conv2" && op["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {}", serde_json::json!(ops(at))))
    };
    let evaluated = named(0, "conv 3x3 winograd F(4x4)");
    assert_eq!((&evaluated["shape"], &evaluated["calls"]), (&"8x8x64 > 8x8x64".into(), &1.into()));
    for kind in ["", ", weight gradient", ", input gradient"] {
        named(1, &format!("conv 3x3 winograd F(2x2){kind}"));
    }
    named(1, "batch norm");
    named(1, "batch norm, gradient");
    assert_eq!(ops(1).iter().filter(|op| op["kind"] == "optimiser").count(), 1);
    assert!(ops(0).iter().any(|op| op["kind"] == "linear"));
}

#[test]
fn only_the_longest_ops_are_listed() {
    let json = profile(&["--profile=3", "--format=json"]).ended_with(0).json();
    assert_eq!(json["profiles"][0]["ops"].as_array().unwrap().len(), 3);
    assert!(json["profiles"][0]["kinds"].as_array().unwrap().len() > 3);
}

#[test]
fn people_see_limits_tables_and_what_is_to_gain() {
    for format in ["table", "md"] {
        let text = profile(&["--profile=2", "--format", format]).ended_with(0).stdout;
        for words in
            ["limits of this machine", "GFLOP/s in f32", "resnet20 at 32, infer, batch 2", "between ops", "to gain: "]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

#[test]
fn csv_has_a_line_a_kind_an_op_and_the_sums() {
    let text = profile(&["--profile=2", "--format=csv"]).ended_with(0).stdout;
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("model,mode,input_size,batch_size,level,op,kind,shape,calls,ms,share,"));
    let levels: Vec<&str> = lines.map(|line| line.split(',').nth(4).unwrap()).collect();
    let count = |level: &str| levels.iter().filter(|&&other| other == level).count();
    assert_eq!((count("op"), count("between ops"), count("batch")), (2, 1, 1));
    assert!(count("kind") > 2, "{text}");
}

#[test]
fn what_has_no_ops_to_time_is_wrong_usage() {
    let refused = profile(&["--profile", "--modes=infer,load"]).ended_with(2);
    assert!(refused.stderr.contains("--profile is of the network alone"), "{}", refused.stderr);
}
