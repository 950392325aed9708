"""Models on this machine, by transformers. The one module that imports torch, and only when a model is
loaded.
"""

import importlib.metadata
import inspect
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from generation.engines import EngineFault, OnBatch, Request, Written
from generation.engines.batch import Batch, Layer, Model, plan
from generation.engines.choosing import CANDIDATES
from generation.engines.fitting import Fitted, Fitter
from generation.engines.folders import ModelFiles, find_model, fingerprint
from generation.engines.rows import Row
from generation.engines.stops import BadWords, TokenTable, cut_at_break

# Two cores wrote 91 replies a minute in batches of 32, 62 in batches of 16, 52 in batches of 8
# (SmolLM2-135M).
_ROWS = {"cpu": 32, "cuda": 64}
_CPU_BUDGET = 2 << 30  # bytes of keys and values in one batch
# Of the memory that is free once the model is loaded; the rest is for activations and logits.
_CUDA_SHARE = 0.6
_NO_LIMIT = 1 << 30
_A_WORD = "a"


def load(
    model_ref: str,
    model_dirs: Sequence[Path],
    *,
    data_dir: Path,
    batch_size: int | None = None,
    device: str | None = None,
) -> "LocalEngine":
    """Loads the model `path:NAME` from below one of the model folders; EngineFault says in a sentence why it
    cannot.

    Takes seconds from safetensors. A GGUF file is converted once, below `data_dir`, which takes half a
    minute. `batch_size` is the most rows written together; `device` is "cpu" or "cuda", by default what the
    machine has.
    """
    found = find_model(model_ref, model_dirs)
    identity = fingerprint(found, data_dir)
    torch, transformers = _import()
    _prepare(torch, transformers)
    loader = _Loader(found, torch, transformers, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder = found.folder if found.form == "safetensors" else loader.converted(identity, data_dir)
    model, tokenizer = loader.load(folder)
    return LocalEngine(found, identity, torch, transformers, model, tokenizer, batch_size)


def _import() -> tuple[Any, Any]:
    """torch and transformers, told to keep off the network."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # it warns after a fork, and prefork workers fork
    with _quiet():
        import torch
        import transformers
    return torch, transformers


def _prepare(torch: Any, transformers: Any) -> None:
    """No progress bars, no notices, and all cores: one process with all of them beats several that share."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(_cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Third-party warnings are of no use to a researcher: what matters becomes an EngineFault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Loader:
    """Reads one model from disk, and says in a sentence why it cannot."""

    def __init__(self, found: ModelFiles, torch: Any, transformers: Any, device: str) -> None:
        self._found = found
        self._torch = torch
        self._transformers = transformers
        self._device = device

    def load(self, folder: Path) -> tuple[Any, Any]:
        """Model and tokenizer from a folder of safetensors, whole and on their device."""
        with self._explained("tokenizer"):
            tokenizer = self._tokenizer(folder)
        with self._explained("weights"):
            # "auto" is the dtype of the file. On CPUs bf16 is 2-3x slower than float32.
            dtype = "auto" if self._device == "cuda" else self._torch.float32
            model, info = self._model(folder, dtype=dtype, use_safetensors=True, output_loading_info=True)
            self._check(model, tokenizer, info)
            model = model.to(self._device).eval()
        return model, tokenizer

    def converted(self, identity: str, data_dir: Path) -> Path:
        """The GGUF file as safetensors. Made beside and moved into place whole: a crash leaves no half of it."""
        target = Path(data_dir) / "models" / "converted" / identity
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
        try:
            with self._explained("GGUF file"):
                self._convert(workplace)
            os.rename(workplace, target)
        except OSError:
            if not target.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
        return target

    def _convert(self, workplace: Path) -> None:
        folder, name = self._found.folder, self._found.path.name
        tokenizer = self._tokenizer(folder, gguf_file=name)
        model = self._model(folder, gguf_file=name, dtype=self._torch.float32)
        # It is no longer quantised; left in place, both would make transformers look for the GGUF file again.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config._name_or_path = ""  # else the config would tell where the file lay on this machine
        tokenizer.name_or_path = ""
        model.save_pretrained(workplace)
        tokenizer.save_pretrained(workplace)
        versions = {name: importlib.metadata.version(name) for name in ("transformers", "gguf")}
        (workplace / "converted.json").write_text(json.dumps({"from": name, **versions}), encoding="utf-8")

    def _tokenizer(self, folder: Path, **more: Any) -> Any:
        return self._transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **more
        )

    def _model(self, folder: Path, **more: Any) -> Any:
        return self._transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **more
        )

    def _check(self, model: Any, tokenizer: Any, info: Any) -> None:
        """transformers fills what is missing with random numbers, and says so only in a warning."""
        missing = sorted(info["missing_keys"])
        if missing:
            raise EngineFault(
                f"The model {self._found.ref} is not whole: {len(missing)} of its weights are missing, such as "
                f"{missing[0]}; copy it again."
            )
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            raise EngineFault(
                f"The model {self._found.ref} does not fit its tokenizer, which knows {len(tokenizer)} tokens where the "
                f"model knows {model.get_input_embeddings().num_embeddings}; copy both from one place."
            )
        layers = self._transformers.DynamicCache(config=model.config).layers
        if not all(isinstance(layer, self._transformers.cache_utils.DynamicLayer) for layer in layers):
            raise EngineFault(
                f"The model {self._found.ref} ({type(model).__name__}) keeps its state in a way that we cannot batch; "
                "serve it with vLLM and add it as an endpoint."
            )

    @contextmanager
    def _explained(self, part: str) -> Iterator[None]:
        with _quiet():
            try:
                yield
            except EngineFault:
                raise
            except Exception as error:  # readers of other people's files raise anything
                raise EngineFault(
                    f"The model {self._found.ref} cannot be loaded: its {part} cannot be read "
                    f"({self._told(error)}); copy it again, or choose another model."
                ) from error

    def _told(self, error: Exception) -> str:
        """The first line of an error, without the places of this machine."""
        lines = str(error).strip().splitlines() or [""]
        line = lines[0].replace(str(self._found.path), self._found.ref)
        line = line.replace(str(self._found.folder), "the model's folder")
        return f"{type(error).__name__}: {line}"[:200].rstrip(" .:")


class LocalEngine:
    """A loaded model with its tokenizer. Not for use from several threads at once."""

    def __init__(
        self,
        found: ModelFiles,
        identity: str,
        torch: Any,
        transformers: Any,
        model: Any,
        tokenizer: Any,
        batch_size: int | None,
    ) -> None:
        self.fingerprint = identity
        self._found = found
        self._torch = torch
        self._transformers = transformers
        self._model = model
        self._tokenizer = tokenizer
        self._rows = batch_size or _ROWS.get(model.device.type, 32)
        config = model.config.get_text_config(decoder=True)
        self._context = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
        self._token_bytes = _token_bytes(config, model.dtype.itemsize)
        self._table = self._token_table()
        self._fitter = Fitter(self._encode, self._decode)
        self._looped = Model(
            forward=model.forward,
            empty_cache=transformers.DynamicCache,
            cache_of=lambda layers: transformers.Cache(layers=layers),
            # transformers asks for its own base class; everything in it is done by Layer, which comes first.
            layer=type("InPlaceLayer", (Layer, transformers.cache_utils.CacheLayerMixin), {}),
            last_only={"logits_to_keep": 1} if _takes(model.forward, "logits_to_keep") else {},
            table=self._table,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """How replies are made here: JSON, without a path of this machine."""
        return {
            "engine": "transformers",
            "model": self._found.ref,
            "form": self._found.form,
            "architecture": type(self._model).__name__,
            "context_limit": self._context,
            "device": self._device_name(),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "threads": self._torch.get_num_threads(),
            "batch_size": self._rows,
            "candidates": CANDIDATES,
            "versions": {"torch": self._torch.__version__, "transformers": self._transformers.__version__},
        }

    def write(self, requests: Sequence[Request], on_batch: OnBatch | None = None) -> list[Written]:
        """One reply per request, in their order: the same whatever else is written with it, up to rounding."""
        with _quiet(), self._torch.inference_mode():
            rows = [self._row(place, request) for place, request in enumerate(requests)]
            written: dict[int, Written] = {}
            for batch in self._batches(rows):
                made = self._beams(batch[0]) if batch[0].decoding.num_beams > 1 else self._batch(batch)
                written |= made
                if on_batch is not None:
                    on_batch(list(made), list(made.values()))
        return [written[place] for place in range(len(rows))]

    def chat_prompt(self, messages: Sequence[dict[str, str]]) -> str:
        """The messages in the model's own chat form, ending where it answers. EngineFault where it has none."""
        if not getattr(self._tokenizer, "chat_template", None):
            raise EngineFault(f'The model {self._found.ref} has no chat template: use prompt = "thread".')
        return str(
            self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        )

    # ---------------------------------------------------------------------------------------- batches

    def _row(self, place: int, request: Request) -> Row:
        # Half of a small context stays for the prompt, whatever length is asked for.
        room = max(self._context - request.decoding.max_new_tokens, self._context // 2)
        fitted = self._fitter.fit(request.prompt, room)
        if not fitted.ids:  # nothing to read: models want at least one token
            fitted = Fitted((min(self._table.ends, default=0),), fitted.cut)
        bad_words = BadWords.of(request.decoding.bad_words, self._table, self._plain_encode)
        return Row(place, request, fitted, self._context - len(fitted.ids), self._table, bad_words)

    def _batches(self, rows: list[Row]) -> list[list[Row]]:
        """Rows alike in length together; each row that wants beams alone."""
        looped = [row for row in rows if row.decoding.num_beams == 1]
        sizes = [(len(row.read) + row.limit) * self._token_bytes for row in looped]
        batches = [[looped[n] for n in batch] for batch in plan(sizes, self._rows, self._budget())]
        return batches + [[row] for row in rows if row.decoding.num_beams > 1]

    def _budget(self) -> int:
        if self._model.device.type != "cuda":
            return _CPU_BUDGET
        free, _ = self._torch.cuda.mem_get_info(self._model.device)
        return int(free * _CUDA_SHARE)

    def _batch(self, rows: list[Row]) -> dict[int, Written]:
        began = time.monotonic()
        made: dict[int, Written] = {}

        def finished(row: Row) -> None:
            made[row.place] = self._written(row, time.monotonic() - began, len(rows))

        Batch(self._looped, rows, self._tensor).run(finished)
        return made

    def _written(self, row: Row, seconds: float, batch_rows: int) -> Written:
        if row.finish_reason is None:
            raise RuntimeError("a reply was taken before it was finished")
        return Written(
            text=cut_at_break(self._decode(row.written), row.after_newline),
            finish_reason=row.finish_reason,
            prompt_tokens=len(row.read),
            new_tokens=len(row.written),
            seconds=round(seconds, 3),
            prompt_read=row.prompt_read,
            batch_rows=batch_rows,
        )

    # ---------------------------------------------------------------------------------------- beams

    def _beams(self, row: Row) -> dict[int, Written]:
        """One reply by transformers' own beam search: slower, one at a time, from a seeded stream of its own."""
        began = time.monotonic()
        read = self._tensor([list(row.read)])
        with self._torch.random.fork_rng(devices=self._cuda_devices()):
            self._torch.manual_seed(row.seed % (1 << 63))
            ids = self._model.generate(
                input_ids=read,
                attention_mask=self._torch.ones_like(read),
                generation_config=self._beam_settings(row),
                logits_processor=self._transformers.LogitsProcessorList([self._forbidding(row)]),
                stopping_criteria=self._transformers.StoppingCriteriaList([self._stopping(row)]),
            )
        for token in ids[0, len(row.read) :].tolist():
            if row.take(token):
                break
        return {row.place: self._written(row, time.monotonic() - began, 1)}

    def _beam_settings(self, row: Row) -> Any:
        decoding = row.decoding
        drawn = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": decoding.top_k}
        return self._transformers.GenerationConfig(
            num_beams=decoding.num_beams,
            do_sample=decoding.do_sample,
            max_new_tokens=row.limit,
            length_penalty=decoding.length_penalty,
            repetition_penalty=decoding.repetition_penalty,
            early_stopping=True,
            pad_token_id=min(self._table.ends, default=0),
            **(drawn if decoding.do_sample else {}),
        )

    def _forbidding(self, row: Row) -> Any:
        """The loop's bans, in the form that transformers' beam search calls."""

        def forbid(_: object, input_ids: Any, scores: Any) -> Any:
            scores[:, len(self._table.texts) :] = float("-inf")
            for n, ids in enumerate(input_ids.tolist()):
                beam = row.replayed(ids[len(row.read) :])
                banned = [*beam.banned(), *(self._table.not_first if beam.opening else ())]
                scores[n, banned] = float("-inf")
            return scores

        return type("Forbidding", (self._transformers.LogitsProcessor,), {"__call__": forbid})()

    def _stopping(self, row: Row) -> Any:
        """The loop's end of a post, in the form that transformers' beam search calls."""

        def stop(_: object, input_ids: Any, scores: Any, **more: object) -> Any:
            beams = [row.replayed(ids) for ids in input_ids[:, len(row.read) :].tolist()]
            return self._torch.tensor(
                [beam.finish_reason is not None for beam in beams], device=input_ids.device
            )

        return type("Stopping", (self._transformers.StoppingCriteria,), {"__call__": stop})()

    # ---------------------------------------------------------------------------------------- tokens

    def _tensor(self, data: Any) -> Any:
        return self._torch.tensor(data, device=self._model.device)

    def _encode(self, text: str) -> list[int]:
        """As the model reads a prompt. A chat form already begins with the token that others get put before."""
        begun = self._tokenizer.bos_token is not None and text.startswith(self._tokenizer.bos_token)
        if text.endswith("\n"):
            # Byte-level tokenizers spell a blank line otherwise at the very end of a text than before a word,
            # where all training text had it: there a model would go on with a number or a date instead of a
            # user's name.
            ids = self._tokenizer(text + _A_WORD, add_special_tokens=not begun)["input_ids"]
            if self._decode(ids[-1:]) == _A_WORD:
                return list(ids[:-1])
        return list(self._tokenizer(text, add_special_tokens=not begun)["input_ids"])

    def _plain_encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _decode(self, ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _token_table(self) -> TokenTable:
        known = min(len(self._tokenizer), self._model.get_input_embeddings().num_embeddings)
        texts = self._tokenizer.batch_decode([[n] for n in range(known)], clean_up_tokenization_spaces=False)
        ends = self._model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        # Any special token ends the post: it would vanish from the text, and what follows is of another
        # document.
        return TokenTable(texts, {*ends, *self._tokenizer.all_special_ids})

    def _cuda_devices(self) -> list[int]:
        device = self._model.device
        return [device.index or 0] if device.type == "cuda" else []

    def _device_name(self) -> str:
        device = self._model.device
        return (
            f"cuda: {self._torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device.type)
        )


def _token_bytes(config: Any, itemsize: int) -> int:
    """Bytes of keys and values that one token takes."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * itemsize)


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters
