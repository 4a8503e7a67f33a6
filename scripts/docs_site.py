"""What `make docs` needs beside mkdocs.yml: the site's files are the repository's, examples in docstrings are code."""

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give the files of the theme, and those of the repository that `extra.shown` names, at their paths."""
    root = Path(config.config_file_path).parent
    paths = sorted({path for pattern in config.extra["shown"] for path in root.glob(pattern) if path.is_file()})
    ours = [File(str(path.relative_to(root)), str(root), config.site_dir, config.use_directory_urls) for path in paths]
    return Files([*(file for file in files if file.src_dir != config.docs_dir), *ours])


class Examples(Extension):
    """Puts the examples in docstrings into blocks of code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
