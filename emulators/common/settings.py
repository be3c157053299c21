"""Settings that all emulators share; each network adds its own."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EmulatorSettings(BaseSettings):
    """Settings read from the environment with the prefix `EMULATOR_`."""

    model_config = SettingsConfigDict(env_prefix="EMULATOR_", extra="ignore", populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=1, le=65535)
    data: Path = Path(".data/emulator.sqlite3")
    public_url: str = ""
    """Base URL under which clients reach the emulator; empty: `http://HOST:PORT`."""
    seed: int = 20260101
    """Seed of faults, generated citizens and their messages."""
    citizens_per_minute: float = Field(default=0, ge=0)
    citizens: int = Field(default=400, ge=1, le=100_000)
    """Number of generated citizens."""
    day_seconds: float = Field(default=86_400, gt=0)
    """Length of the emulator's day, after which daily limits are reset."""
    clock_shift_seconds: float = Field(default=0, validation_alias="GOSPABLIK_CLOCK_SHIFT_SECONDS")
    rate_window_seconds: float = Field(default=1.0, gt=0)
    """Window of the per-second limits."""
    idempotency_seconds: float = Field(default=3_600, ge=0)
    """How long an idempotency key of a client is kept."""
    slow_seconds: float = Field(default=3, ge=0)
    """Delay of a fault `slow` without `seconds`."""
    timeout_seconds: float = Field(default=60, ge=0)
    """How long the fault `timeout` holds a call before it drops the connection."""

    @property
    def base_url(self) -> str:
        """Return the base URL under which clients reach the emulator, without a final slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")
