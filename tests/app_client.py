"""A client of the app without a browser: Streamlit's protocol over a web socket, and uploads.

It can be hostile: it sends messages that no page would.
"""

from __future__ import annotations

import http.client
import re
import ssl
import uuid
from collections.abc import Mapping
from http.cookies import SimpleCookie
from types import TracebackType
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

_WIDGET = re.compile(rb"(\$\$ID-[0-9a-f]+-([a-z0-9_]+))")


def unchecked() -> ssl.SSLContext:
    """Return a context that accepts any certificate, for a proxy that a test has started."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class AppClient:
    """One visit.

    Args:
        address: of the app, "http://HOST:PORT"; with https its certificate is not checked.
    """

    def __init__(self, address: str) -> None:
        self.place = urlsplit(address)
        self._context = unchecked() if self.place.scheme == "https" else None
        self.session, self.query = "", ""
        #: Ids of drawn widgets, by their keys.
        self.widgets: dict[str, str] = {}
        self.cookie = self._xsrf_cookie()
        self.socket: ClientConnection = connect(
            f"{'wss' if self._context else 'ws'}://{self.place.netloc}/_stcore/stream",
            subprotocols=["streamlit", self.cookie],  # type: ignore[list-item]
            additional_headers={"Cookie": f"_streamlit_xsrf={self.cookie}"},
            origin=address,  # type: ignore[arg-type]
            max_size=None,
            ssl=self._context,
            legacy=True,
        )

    def __enter__(self) -> AppClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def run(self, page: str = "", query: str = "", timeout: float = 60.0) -> list[ForwardMsg]:
        """Run a page's script; return what it sends, to its end."""
        return self._rerun(page, query, {}, timeout)

    def press(self, page: str, button: str, texts: dict[str, str], until: str = "", timeout: float = 60.0) -> list[str]:
        """Press a button of the page that was run last, with texts typed into inputs; return everything sent then.

        Args:
            page: its name.
            button: its key.
            texts: by the keys of text inputs.
            until: what is said last; a run that the page has asked for itself may come first.
            timeout: seconds for each message.
        """
        states: dict[str, str | None] = {self.widgets[key]: text for key, text in texts.items()}
        self.ask(page, self.query, states | {self.widgets[button]: None})
        texts_sent: list[str] = []
        while not texts_sent or not any(until in text for text in texts_sent):
            texts_sent += [message.SerializeToString().decode(errors="replace") for message in self.read(timeout)]
        return texts_sent

    def give(self, page: str, uploader: str, content: bytes, name: str, timeout: float = 60.0) -> list[ForwardMsg]:
        """Upload a file to an uploader of the page that was run last, by its key; return what the page sends then."""
        id = str(uuid.uuid4())
        status, text = self.upload(content, name, id)
        assert status == 204, text
        file = UploadedFileInfo(name=name, size=len(content), file_id=id)
        return self._rerun(page, self.query, {self.widgets[uploader]: file}, timeout)

    def ask(
        self, page: str, query: str = "", states: Mapping[str, str | UploadedFileInfo | None] | None = None
    ) -> None:
        """Ask for a run of a page, and read nothing of it.

        Args:
            page: its name.
            query: of its address.
            states: of widgets, by their ids: a text, a file, or None for a button that is pressed.
        """
        self.query, message = query, BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        for id, what in (states or {}).items():
            state = message.rerun_script.widget_states.widgets.add(id=id)
            if what is None:
                state.trigger_value = True
            elif isinstance(what, str):
                state.string_value = what
            else:
                state.file_uploader_state_value.uploaded_file_info.append(what)
        self.socket.send(message.SerializeToString())

    def _rerun(
        self, page: str, query: str, states: Mapping[str, str | UploadedFileInfo | None], timeout: float
    ) -> list[ForwardMsg]:
        """Run a page with widgets in these states; return what it sends, to its end."""
        self.ask(page, query, states)
        return self.read(timeout)

    def read(self, timeout: float = 60.0) -> list[ForwardMsg]:
        """Read what is sent, to the end of a run."""
        sent = []
        while True:
            answer = ForwardMsg.FromString(self.socket.recv(timeout=timeout))  # type: ignore[arg-type]
            sent.append(answer)
            widgets = _WIDGET.findall(answer.SerializeToString())
            self.widgets |= {key.decode(): widget_id.decode() for widget_id, key in widgets}
            if answer.WhichOneof("type") == "new_session":
                self.session = answer.new_session.initialize.session_id
            if answer.WhichOneof("type") == "script_finished":
                return sent

    def upload(self, content: bytes, name: str = "a.csv", id: str = "") -> tuple[int, str]:
        """Upload a file as a page's uploader does; return the status and the text of the answer."""
        edge = uuid.uuid4().hex
        head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        connection = self._connection()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={edge}",
            "Cookie": f"_streamlit_xsrf={self.cookie}",
            "X-Xsrftoken": self.cookie,
        }
        try:
            connection.request("PUT", f"/_stcore/upload_file/{self.session}/{id or uuid.uuid4()}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (BrokenPipeError, ConnectionResetError):  # refused before the whole body was sent
            return 413, ""
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.place.hostname or "", self.place.port
        if self._context is not None:
            return http.client.HTTPSConnection(host, port, timeout=60, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=60)

    def _xsrf_cookie(self) -> str:
        connection = self._connection()
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        answer.read()
        cookies = SimpleCookie(answer.headers.get("Set-Cookie", ""))
        connection.close()
        return cookies["_streamlit_xsrf"].value if "_streamlit_xsrf" in cookies else ""
