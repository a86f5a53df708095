//! What a configuration may say, and how it is told where it is wrong.

use super::*;

fn parsed(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("j.toml")).map_err(|error| error.to_string())
}

#[test]
fn the_documented_configuration_is_the_default_one() {
    let text = include_str!("../../../../docs/jobwright.toml");
    let mut config = parsed(text).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = config.executors.keys().map(String::as_str).collect();
    assert_eq!(names, ["cluster", "hpc", "local", "photon", "spark", "yarn"]);
    let Executor::Kubernetes(jobs) = &config.executors["cluster"] else { panic!("it has Jobs") };
    let default =
        Kubernetes { image: jobs.image.clone(), pod: jobs.pod.clone(), ..Default::default() };
    assert_eq!(format!("{jobs:?}"), format!("{default:?}"));
    let Executor::Mock(mock) = &config.executors["photon"] else { panic!("photon is pretended") };
    assert_eq!((mock.latency.0, mock.failure_rate.0), (Duration::from_millis(200), 50));
    assert_eq!(mock.slots, NonZeroU32::new(8));
    assert_eq!(config.pools.len(), 1);

    let default = Config::default();
    config.executors = default.executors.clone();
    config.pools = default.pools.clone();
    assert_eq!(format!("{config:#?}"), format!("{default:#?}"));
}

#[test]
fn every_key_is_in_the_manual() {
    let manual = include_str!("../../../../docs/configuration.md");
    let file = include_str!("../../../../docs/jobwright.toml");
    let keys = file.lines().filter_map(|line| line.trim_start_matches("# ").split_once(" = "));
    let keys = keys
        .map(|(key, _)| key)
        .filter(|key| *key != "warehouse" && *key != "kind" && !key.contains([' ', '"']));
    let missing: Vec<_> = keys.filter(|key| !manual.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not tell of {missing:?}");
}

#[test]
fn a_file_without_executors_has_the_default_one() {
    assert_eq!(parsed("").unwrap().executors.len(), 1);
    let names = |text: &str| parsed(text).unwrap().executors.into_keys().collect::<Vec<_>>();
    assert_eq!(names("[server]\nstreams = 3\n"), ["local"]);
    assert_eq!(names("[executors.photon]\nkind = \"mock\"\n"), ["photon"]);
    assert_eq!(names("executors = { a = { kind = \"local\" } }\n"), ["a"]);
}

#[test]
fn faults_are_told_with_their_place() {
    let check = |text: &str, place: &str, message: &str| {
        let Err(error) = parsed(text) else { panic!("it was read:\n{text}") };
        let told = error.strip_prefix("the configuration is wrong: ").unwrap_or(&error);
        assert!(told.starts_with(message), "{text}\n{told}");
        assert!(told.contains(&format!(" --> j.toml:{place}\n")), "{text}\n{told}");
    };
    check(
        "[secrets]\ncommand = [\"pass\", \"{name}\"]\n",
        "2:11",
        "program `pass` is asked for secrets",
    );
    check("[engine]\nretention = \"soon\"\n", "2:13", "`soon` is neither `forever` nor");
    check("lisen = 1\n", "1:1", "unknown field `lisen`, expected one of `server`");
    check("[server\n", "1:8", "unclosed table, expected `]`");
    check("[server]\nlisten = 8080\n", "2:10", "invalid type: integer `8080`");
    check("[server]\nlisten = \"localhost\"\n", "2:10", "invalid socket address syntax");
    check("[server]\nallow_remote = true\n", "2:1", "unknown field `allow_remote`");
    check("[server]\nbody-limit = \"1 mb\"\n", "2:14", "expected a number of bytes such as");
    check("[server]\nbody-limit = -1\n", "2:14", "expected a number of bytes");
    check("[server]\ndrain = \"-1s\"\n", "2:9", "expected a length of time such as");
    check("[server]\ndrain = \"11y\"\n", "2:9", "expected a length of time such as");
    check("[server]\ndrain = \"99999999h\"\n", "2:9", "`99999999h` is longer than ten years");
    check("[server]\ndrain = 10\n", "2:9", "expected a length of time");
    check("[server]\nwait-time = \"2h\"\n", "2:13", "`wait-time` is not shorter");
    check("[server]\nrequest-time = \"1s\"\n", "2:16", "`wait-time` is not shorter");
    check("[store]\nsynchronous = \"off\"\n", "2:15", "unknown variant `off`");
    check("[pools]\nwarehouse = 0\n", "2:13", "invalid value: integer `0`");
    check("[pools]\n\" \" = 1\n", "2:1", "a pool name is empty");
    check("[telemetry]\nlevel = \"loud\"\n", "2:9", "`loud` is no level");
    check("[telemetry]\nlevel = \"info,a=5\"\n", "2:9", "`5` is no level");
    check("[telemetry]\notlp-level = \"=info\"\n", "2:14", "`=info` names no module");
    check("executors = 3\n", "1:13", "expected tables `[executors.NAME]`");
    check("[executors]\nphoton = 3\n", "2:10", "expected a table `[executors.photon]`");
    check("[executors.\"\"]\nkind = \"mock\"\n", "1:12", "a executor name is empty");
    check("[executors.photon]\n", "1:12", "executor `photon` has no `kind`: write");
    check("[executors.a]\nkind = 3\n", "2:8", "expected `kind` to be `kubernetes`, `local`,");
    let unknown = "unknown kind of executor `process`, there are `kubernetes`, `local`, `mock`, `slurm`, `spark` and `spark-submit`, did you mean `local`?";
    check("[executors.a]\nkind = \"process\"\n", "2:8", unknown);
    let unknown = "unknown kind of executor `nomad`, there are `kubernetes`, `local`, `mock`, `slurm`, `spark` and `spark-submit`\n";
    check("[executors.a]\nkind = \"nomad\"\n", "2:8", unknown);
    check("[executors.a]\nkind = \"spark\"\n", "1:1", "missing field `rest`");
    let spark = "[executors.a]\nkind = \"spark\"\nrest = \"http://m:6066\"\nui = \"http://m:8080\"\nfolder = \"/shared\"\n";
    check(&format!("{spark}slots = 0\n"), "6:9", "invalid value: integer `0`");
    check(&format!("{spark}prefix = \"A\"\n"), "6:10", "`A` cannot begin names on a cluster");
    check(&format!("{spark}deploy-mode = \"cluster\"\n"), "6:1", "unknown field `deploy-mode`");
    let text =
        "[executors.a]\nkind = \"spark-submit\"\nmaster = \"yarn\"\ninherit = [\"LD_PRELOAD\"]\n";
    check(text, "4:12", "`LD_PRELOAD` cannot be inherited");
    check(
        "[executors.a]\nkind = \"kubernetes\"\nimages = \"x\"\n",
        "3:1",
        "unknown field `images`",
    );
    check("[executors.a]\nkind = \"mock\"\nfolder = \"x\"\n", "3:1", "unknown field `folder`");
    check("[executors.a]\nkind = \"local\"\nslots = 0\n", "3:9", "invalid value: integer `0`");
    check("[executors.a]\nkind = \"mock\"\nfailure-rate = 1.5\n", "3:16", "expected a share");
    let slurm = |rest: &str| {
        let most = "url = \"http://h\"\nuser = \"u\"\ntoken = \"t\"\n";
        format!("[executors.a]\nkind = \"slurm\"\n{most}{rest}\n")
    };
    check(&slurm(""), "1:1", "missing field `folder`");
    check(&slurm("folder = \"jobs\""), "6:10", "expected a whole path, found `jobs`");
    check(&slurm("folder = \"/x\"\napi = \"38\""), "7:7", "`38` is no version of slurmrestd's API");
    check(&slurm("folder = \"/x\"\nprefix = \"A\""), "7:10", "`A` cannot begin names");
    let text = "[executors.a]\nkind = \"local\"\ninherit = [\"LANG\", \"LD_PRELOAD\"]\n";
    check(text, "3:20", "`LD_PRELOAD` cannot be inherited");
    let text =
        "[executors.a]\nkind = \"local\"\n[executors.a.limits]\nmemory = \"2 GB\"\ncpus = 1\n";
    check(text, "5:1", "unknown field `cpus`, expected one of `cpu`, `memory`");
}

#[test]
fn quantities_are_read_as_people_write_them() {
    let check = |period: &str, bytes: &str, expect: (Duration, u64)| {
        let text = format!("[server]\nkeep-alive = {period}\nbody-limit = {bytes}\n");
        let server = parsed(&text).unwrap().server;
        assert_eq!((server.keep_alive.0, server.body_limit.0), expect);
    };
    check("\"250ms\"", "17", (Duration::from_millis(250), 17));
    check("\"1m 30s\"", "\"17\"", (Duration::from_secs(90), 17));
    check("\"PT1H\"", "\"2KiB\"", (Duration::from_secs(3_600), 2_048));
    check("\"2 hours\"", "\"3 MB\"", (Duration::from_secs(7_200), 3_000_000));
}
