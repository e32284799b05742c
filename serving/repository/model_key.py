"""The key that signs model files: its signatures are sigstore's bundles, and are checked offline."""

from pathlib import Path

from serving import regular_file
from serving.model.card import MODEL_FILE, SIGNATURE_SUFFIX, ContractError

MAX_BUNDLE_BYTES = 1 << 20  # one for a file has 1.5 kB
MAX_KEY_BYTES = 1 << 16  # one in PEM has 200 bytes
ITSELF = "."  # the name of a file that was signed alone, in the statement


class ModelKeyError(ValueError):
    """A public key cannot be used; the message says why."""


class ModelKey:
    """The public key of those who may sign model files."""

    def __init__(self, file: Path) -> None:
        """Read a key in PEM; raises ModelKeyError."""
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from model_signing._signing.sign_ec_key import Verifier  # the public interface reads the model file anew
        except ModuleNotFoundError as error:
            raise ModelKeyError(
                f"needs {error.name}, which is not installed: pip install '.[signing]' in Thimble's folder"
            ) from error
        try:
            regular_file.read(file, MAX_KEY_BYTES, "a public key")  # what follows would wait for a pipe
            self._verifier = Verifier(file)
        except regular_file.RegularFileError as error:
            raise ModelKeyError(str(error)) from error
        except (ValueError, AttributeError, UnsupportedAlgorithm) as error:  # AttributeError: the key has no curve
            raise ModelKeyError("is not a public key in PEM of the curve P-256, P-384 or P-521") from error
        self.file = file

    def fault(self, path: Path, digest: str) -> str | None:
        """Return why a model file, whose bytes have this digest, was not signed with the key; None where it was."""
        signature = path.with_suffix(SIGNATURE_SUFFIX)
        try:
            signed = self._signed_digests(regular_file.read(signature, MAX_BUNDLE_BYTES, "a signature"))
        except regular_file.RegularFileError as error:
            return f"it is not signed: {signature}: {error}"
        except ContractError as error:
            return f"it is not signed: {error}"
        if digest in signed:
            return None
        return f"it is not signed: {signature} is of another file; sign this one, {digest}"

    def _signed_digests(self, bundle: bytes) -> list[str]:
        """Return the digests that a bundle's statement has for the model file; raises ContractError."""
        from cryptography.exceptions import InvalidSignature
        from model_signing._signing.sign_sigstore_pb import Signature
        from sigstore_models.bundle.v1 import Bundle

        try:
            manifest = self._verifier.verify(Signature(Bundle.from_json(bundle)))
        except InvalidSignature as error:
            raise ContractError(f"the signature is not made with the private key of {self.file}") from error
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # AttributeError: a part is missing
            raise ContractError(f"the signature cannot be checked with {self.file}: {error}") from error
        items = [item for item in manifest.resource_descriptors() if item.identifier in (ITSELF, MODEL_FILE)]
        return [f"{item.digest.algorithm}:{item.digest.digest_hex}" for item in items]
