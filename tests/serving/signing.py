"""Sign model files as their makers do, with model_signing's own interface."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from model_signing.signing import Config


def make_key(folder: Path, name: str) -> Path:
    """Make NAME.pem, the private key, and return NAME.pub, the public one."""
    private, public = ec.generate_private_key(ec.SECP256R1()), folder / f"{name}.pub"
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public.with_suffix(".pem").write_bytes(pem)
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def sign(path: Path, public: Path) -> Path:
    """Sign a file, or a folder with one, and return the path."""
    signature = path / "model.sig" if path.is_dir() else path.with_suffix(".sig")
    Config().use_elliptic_key_signer(private_key=public.with_suffix(".pem")).sign(path, signature)
    return path
