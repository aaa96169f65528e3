"""Configuration: YAML, validated and frozen."""

from monitor.config.load import load_settings, settings_from
from monitor.config.settings import Settings

__all__ = ["Settings", "load_settings", "settings_from"]
