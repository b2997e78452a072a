"""MkDocs hook: links from a page to files outside docs/.

On a forge they lead to the file. The site does not carry the sources: they lead to the repository where
`repo_url` is set, and are plain text otherwise.
"""

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#:\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    def replacement(match: re.Match[str]) -> str:
        label, target = match.groups()
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), target))
        if path.startswith("docs/"):
            return match.group()
        return f"[{label}]({config.repo_url.rstrip('/')}/blob/HEAD/{path})" if config.repo_url else label

    return LINK.sub(replacement, markdown)
