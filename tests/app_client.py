"""A visitor of the app without a browser: Streamlit's own protocol over a web socket, and uploads.

It is as hostile as it is told to be: it sends what no page would.
"""

from __future__ import annotations

import http.client
import ssl
import uuid
from http.cookies import SimpleCookie
from types import TracebackType
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


def unchecked() -> ssl.SSLContext:
    """A context that takes any certificate: that of a proxy which a test has started."""
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
        self.session = ""
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
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        self.socket.send(message.SerializeToString())
        sent = []
        while True:
            answer = ForwardMsg.FromString(self.socket.recv(timeout=timeout))  # type: ignore[arg-type]
            sent.append(answer)
            if answer.WhichOneof("type") == "new_session":
                self.session = answer.new_session.initialize.session_id
            if answer.WhichOneof("type") == "script_finished":
                return sent

    def upload(self, content: bytes, name: str = "a.csv") -> tuple[int, str]:
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
            connection.request("PUT", f"/_stcore/upload_file/{self.session}/{uuid.uuid4()}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (BrokenPipeError, ConnectionResetError):  # refused before all was sent
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
