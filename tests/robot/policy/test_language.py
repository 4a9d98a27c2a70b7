import sys

import pytest
import torch

from toyflow.errors import UsageError
from toyflow.robot.data.hub import from_hub
from toyflow.robot.policy.language import FIRST_WORD, PADDING, START, HashedWords, PaligemmaTokens

WORDS = HashedWords(vocabulary=8192, length=8)


def test_tokens_are_the_same_in_every_process_and_on_every_machine():
    """Python's own hash, which each process draws anew, would give others."""
    assert WORDS(["alphabet soup"])[0].tolist() == [START, 4768, 5199, *[PADDING] * 5]


def test_case_and_punctuation_do_not_matter_and_order_does():
    assert torch.equal(WORDS(["Pick up the Mug!"]), WORDS([" pick up, the mug"]))
    assert not torch.equal(WORDS(["red on blue"]), WORDS(["blue on red"]))


def test_empty_and_long_prompts_and_other_scripts():
    empty, long, kana = WORDS(["", "a " * 50, "カップ を 取る"])
    assert empty.tolist() == [START, *[PADDING] * 7]
    assert (long >= FIRST_WORD).sum() == 7
    assert (kana >= FIRST_WORD).sum() == 3
    assert HashedWords(8192, length=0)(["open it"]).shape == (1, 0)


def test_a_prompt_is_read_as_it_would_be_alone():
    together = WORDS(["open the drawer", "close it"])
    assert torch.equal(together[1:], WORDS(["close it"]))
    assert together.max() < 8192


@pytest.fixture
def repository(tmp_path):
    """A folder that holds a tokeniser as a hub repository does."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    vocabulary = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "open": 4, "it": 5, "\n": 6}
    tokeniser = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokeniser.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(" |(?=\n)"), "removed")
    tokeniser.post_processor = tokenizers.processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokeniser, pad_token="<pad>", bos_token="<bos>", padding_side="left"
    ).save_pretrained(tmp_path)
    return str(tmp_path)


def test_a_published_tokeniser_pads_on_the_right_and_ends_the_line(repository):
    tokens = PaligemmaTokens(6, repository)(["open_it", "open\n  it open"])
    assert tokens.tolist() == [[2, 4, 5, 6, 0, 0], [2, 4, 5, 4, 6, 0]]


def test_without_the_hub_the_error_is_one_line(monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")

    class Unreachable:
        def model_info(self, repo, timeout):
            raise ConnectionError("name or service not known\nmore")

    monkeypatch.setattr(huggingface_hub, "HfApi", Unreachable)

    def load(repo, local_files_only=False):
        assert local_files_only, "nothing is loaded from a hub that does not answer"
        raise OSError("not in the cache")

    with pytest.raises(
        UsageError,
        match=r"weights of some/repo cannot be loaded \(the hub does not answer\)\. Try again later, or",
    ) as e:
        from_hub(load, "some/repo", "the weights", "leave it out")
    assert "\n" not in str(e.value) and str(e.value).endswith("or leave it out.")


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"`paligemma` needs transformers: pip install 'toyflow\[robot\]'"):
        PaligemmaTokens(8)


def test_what_is_cached_needs_no_hub():
    pytest.importorskip("huggingface_hub")
    assert from_hub(lambda repo, local_files_only: repo, "some/repo", "the weights", "") == "some/repo"


def test_a_gated_repository_needs_a_login_and_its_licence():
    huggingface_hub = pytest.importorskip("huggingface_hub")

    class Refused(huggingface_hub.errors.HfHubHTTPError):
        def __init__(self):
            Exception.__init__(self, "401 Client Error")
            self.response = type("Response", (), {"status_code": 401})

    def load(repo, local_files_only=False):
        raise ValueError("cannot load") from Refused()

    with pytest.raises(UsageError, match=r"hf auth login.*licence.*or leave it out") as e:
        from_hub(load, "some/repo", "the weights", "leave it out")
    assert "\n" not in str(e.value)
