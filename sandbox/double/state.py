"""What the double knows while it runs. Only the configuration outlives it: a restart begins anew."""

from sandbox.double.accounts import Accounts
from sandbox.double.config import DoubleConfig
from sandbox.double.faults import FaultTable
from sandbox.double.journal import Journal
from sandbox.double.keys import load_signing_key
from sandbox.double.tokens import TokenIssuer


class State:
    """Configuration, accounts, token issuer, and what the admin interface may change."""

    def __init__(self, config: DoubleConfig) -> None:
        """Raises KeyMaterialError if the signing files cannot be used."""
        self.config = config
        key = load_signing_key(config.signing_key_file, config.signing_certificate_file)
        self.issuer = TokenIssuer(key, config.issuer, config.service)
        self.accounts = Accounts(config, self.issuer)
        self.faults = FaultTable()
        self.journal = Journal()
        self.switches = config.switches
        self.repositories = set(config.repositories)

    def reset(self) -> None:
        """Back to the configuration: no faults, empty journal, its switches and repositories."""
        self.faults.clear()
        self.journal.clear()
        self.switches = self.config.switches
        self.repositories = set(self.config.repositories)
