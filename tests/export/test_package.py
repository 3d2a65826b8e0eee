"""The folder is `export` in a clone and `alae_tf.export` in a wheel."""

import ast

from tests.paths import ROOT


def test_its_modules_name_one_another_relatively():
    for path in (ROOT / "export").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module)
            assert not [n for n in names if n.split(".")[0] == "export"], (path, node.lineno)
