"""A compacted results folder: what was run is not run again, and what is new is compared with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import load_sweep, read_curves, read_rows, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.report.archive import compact_results, message_of, restore_results
from orchestrator.report.evidence.write import write_evidence
from orchestrator.report.leaderboard.page import write_leaderboard
from orchestrator.results.schema import SCHEMA
from orchestrator.results.sealed import sealed_parquet
from orchestrator.results.store import open_store

EVIDENCE = (
    "evidence={relearning: {forgotten: [1], epochs: 1, retain_limit: 40}, attribution: {utterances: 2, steps: 2}}"
)
MORE = "methods=[original, retrain, {name: grad_ascent, learning_rate: 1.0e-4}, {name: scrub, epochs: 1, max_epochs: 1}, {name: fine_tune, epochs: 1}]"  # noqa: E501


@pytest.fixture(scope="module")
def compacted(tmp_path_factory, cache_dir, write_small):
    """A finished run with two searches' trials beside it, and the file it was compacted to."""
    folder = tmp_path_factory.mktemp("compacted")
    sweep = write_small(folder)
    run_sweep(load_sweep(sweep, [EVIDENCE]), folder / "r", executor="local", cache_dir=cache_dir)
    store = open_store(folder / "r")
    for trial in range(2):
        failed = f'Traceback\n  File "{folder}/scrub.py", line 1\nFileNotFoundError: no file {folder}/a.bin'
        store.commit(
            {
                "trial_id": f"tuned-{trial}", "stage": "tune", "tuning": True, "status": "failed", "error": failed,
                "study_id": "s", "method": "scrub", "seed": 1000, "task": "espeak_keywords", "started_at": "then",
            }
        )  # fmt: skip
    assert compact_results(store, folder / "rows.parquet") == 7
    return sweep, folder / "r", folder / "rows.parquet"


@pytest.fixture
def restored(compacted, tmp_path):
    """A fresh folder from that file."""
    assert restore_results(compacted[2], open_store(tmp_path / "fresh")) == 7
    return compacted[0], tmp_path / "fresh"


def test_all_rows_come_back_and_errors_keep_their_last_line_without_folders(compacted, restored) -> None:
    before, after = read_rows(compacted[1]), read_rows(restored[1])
    pd.testing.assert_frame_equal(before.drop(columns="error"), after.drop(columns="error"))
    assert set(after["error"]) == {"", "FileNotFoundError: no file a.bin"}


def test_curves_come_back(compacted, restored) -> None:
    before, after = read_curves(compacted[1]), read_curves(restored[1])
    assert len(before) > 5
    pd.testing.assert_frame_equal(after, before)


def test_the_file_names_no_folder_of_the_machine(compacted) -> None:
    text = "\n".join(map(str, pq.read_table(compacted[2]).to_pylist()))
    for told in (str(compacted[1].parent), str(Path.home()) + "/"):
        assert told not in text


def test_the_file_is_a_table_of_one_row_a_trial(compacted) -> None:
    frame = pd.read_parquet(compacted[2])
    assert frame["trial_id"].is_unique
    assert set(SCHEMA.names) < set(frame.columns)
    kept = frame[frame["outputs"].notna()]
    assert sorted(kept["method"] + " " + kept["stage"]) == ["original unlearn", "retrain retrain"]
    assert {part["part"] for part in kept["outputs"].iloc[0]} == {"forget", "validation", "test", "holdout"}


def test_a_run_on_the_restored_folder_runs_nothing(restored, cache_dir) -> None:
    sweep, results = restored
    dispatcher = run_sweep(load_sweep(sweep, [EVIDENCE]), results, executor="local", cache_dir=cache_dir)
    assert dispatcher.num_already_done == 5
    assert not (results / "models").exists()


def test_evidence_and_leaderboard_of_the_restored_folder_are_those_of_the_first(compacted, restored, tmp_path) -> None:
    def pages(results, out):
        write_evidence(open_store(results), out)
        write_leaderboard(open_store(results), out / "leaderboard.md")
        return {file.name: file.read_bytes() for file in out.iterdir() if file.is_file()}

    first, again = pages(compacted[1], tmp_path / "a"), pages(restored[1], tmp_path / "b")
    assert again == first
    figures = pd.read_csv(tmp_path / "b" / "evidence.csv").set_index("method").loc["scrub"]
    assert figures[["loss_auc", "rmia_auc", "js_retrain", "relearned_1", "attribution_forget"]].notna().all()


def test_compacting_the_restored_folder_gives_the_same_file(compacted, restored, tmp_path) -> None:
    compact_results(open_store(restored[1]), tmp_path / "again.parquet")
    # Errors were cut before, and cutting them again changes nothing.
    assert (tmp_path / "again.parquet").read_bytes() == compacted[2].read_bytes()


def test_a_new_method_runs_alone_after_its_original_is_made_anew_and_no_row_is_doubled(restored, cache_dir) -> None:
    sweep, results = restored
    before = read_rows(results).set_index("trial_id")
    with pytest.warns(DamagedFile, match="runs again"):
        dispatcher = run_sweep(load_sweep(sweep, [EVIDENCE, MORE]), results, executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": 6}
    after = read_rows(results).set_index("trial_id")
    changed = [t for t in after.index if t not in before.index or after["started_at"][t] != before["started_at"][t]]
    assert sorted(after.loc[changed, "stage"]) == ["train", "unlearn"]
    assert after.index.is_unique
    assert len(after) == len(before) + 1
    (original,) = after.index[after["stage"] == "train"]
    assert after["test_loss"][original] == pytest.approx(before["test_loss"][original])
    (page,) = (path for path in write_evidence(open_store(results), results / "out") if path.name == "evidence.csv")
    figures = pd.read_csv(page).set_index("method")
    assert figures.loc[["fine_tune", "scrub"], ["rmia_auc", "js_retrain"]].notna().all(axis=None)


def test_what_is_in_the_folder_already_stays_as_it_is(compacted, restored) -> None:
    store = open_store(restored[1])
    store.commit({**store.row("tuned-0"), "status": "done"})
    assert restore_results(compacted[2], store) == 0
    assert store.row("tuned-0")["status"] == "done"


def test_a_figure_of_a_trial_that_ran_again_is_not_taken_from_the_file(restored) -> None:
    store = open_store(restored[1])
    rows = store.rows()
    (scrub,) = rows.loc[(rows["method"] == "scrub") & (rows["stage"] == "unlearn"), "trial_id"]
    store.commit({**store.row(scrub), "finished_at": "2100-01-01"})
    page = next(p for p in write_evidence(store, restored[1] / "out") if p.suffix == ".csv" and "evidence" in p.name)
    figures = pd.read_csv(page).set_index("method")["loss_auc"]
    assert figures.isna()["scrub"]
    assert figures.notna()["grad_ascent"]


def test_a_second_file_leaves_the_figures_of_the_first(compacted, restored, tmp_path) -> None:
    whole = pq.read_table(compacted[2])
    names = whole.column_names
    other = whole.slice(0, 1).set_column(names.index("trial_id"), "trial_id", [["another"]])
    (tmp_path / "other.parquet").write_bytes(sealed_parquet(other))
    store = open_store(restored[1])
    before = pd.read_parquet(restored[1] / "figures.parquet")
    assert restore_results(tmp_path / "other.parquet", store) == 1
    after = pd.read_parquet(restored[1] / "figures.parquet").set_index("trial_id")
    pd.testing.assert_frame_equal(after.loc[before["trial_id"]].reset_index()[list(before)], before)
    assert "another" in after.index


def test_the_last_line_of_an_error_keeps_no_folder_however_it_is_written() -> None:
    told = {
        "No such file: '/home/Jane Doe/secret/a.wav'": "No such file: 'a.wav'",
        "at file:///home/jane/rows/x.parquet now": "at x.parquet now",
        "s3://bucket/results/x.parquet: 403": "x.parquet: 403",
        "/data/a.bin is torn": "a.bin is torn",
        "1/2 of a and/or b": "1/2 of a and/or b",
    }
    assert {text: message_of(text) for text in told} == told


def test_tests_without_a_number_and_outputs_of_many_classes_come_back(tmp_path) -> None:
    store, fresh = open_store(tmp_path / "r"), open_store(tmp_path / "fresh")
    tests = pd.DataFrame({"test": ["probe"], "forgotten": [None], "value": [0.7]})
    many = pd.DataFrame(
        {"part": ["forget", "retain"], "label_logit": [1.5, 2.5], "top_logits": [[3.0, 2.0], [1.0, 0.0]]}
    )
    few = pd.DataFrame({"part": ["forget"], "logits": [[1.0, 2.0, 3.0]]})
    for trial_id, outputs in (("many", many), ("few", few)):
        store.commit(
            {"trial_id": trial_id, "stage": "retrain", "method": "retrain", "status": "done", "seed": 0, "error": ""}
        )
        for folder, table in (("outputs", outputs), ("evidence", tests)):
            store.write_table(f"{folder}/{trial_id}.parquet", pa.Table.from_pandas(table))
    with pytest.MonkeyPatch.context() as patch:  # evidence cannot be measured on such outputs
        patch.setattr("orchestrator.report.archive.folder_evidence", lambda store: SimpleNamespace(
            done=store.rows()[["trial_id", "method"]], figures=()))  # fmt: skip
        compact_results(store, tmp_path / "rows.parquet")
    assert restore_results(tmp_path / "rows.parquet", fresh) == 2
    back = {i: pd.read_parquet(tmp_path / "fresh" / "outputs" / f"{i}.parquet") for i in ("many", "few")}
    assert list(back["many"]) == list(many)
    assert back["many"]["top_logits"].iloc[0].tolist() == [3.0, 2.0]
    assert list(back["few"]) == list(few)
    assert list(pd.read_parquet(tmp_path / "fresh" / "evidence" / "few.parquet")) == list(tests)


def test_other_files_are_refused(tmp_path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    for name, said in (
        ("torn", "which cannot be read"),
        ("other", "which lacks the columns finished_at"),
        ("none", "which does not exist"),
    ):
        with pytest.raises(ValueError, match=f"{name}.parquet,? {said}"):
            restore_results(tmp_path / f"{name}.parquet", open_store(tmp_path / "r"))
    pd.DataFrame({"trial_id": ["a"], "status": ["done"], "finished_at": [""]}).to_parquet(tmp_path / "older.parquet")
    with pytest.raises(ValueError, match=r"older.parquet was written by version 0\.1"):
        restore_results(tmp_path / "older.parquet", open_store(tmp_path / "r"))
    with pytest.raises(ValueError, match="nothing to compact"):
        compact_results(open_store(tmp_path / "r"), tmp_path / "x.parquet")


def test_a_folder_is_no_file_to_compact_to(compacted, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"must name a file; got the folder"):
        compact_results(open_store(compacted[1]), tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:]]
)
def test_a_damaged_file_is_refused_by_name(compacted, tmp_path, damage) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(damage(compacted[2].read_bytes()))
    with pytest.raises(ValueError, match=r"rows\.parquet, which cannot be read"):
        restore_results(file, open_store(tmp_path / "fresh"))
    assert not (tmp_path / "fresh").exists()
