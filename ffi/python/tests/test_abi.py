"""The structs of the package are those of the header, as a C compiler lays them out."""

import os
import subprocess
import tempfile
import unittest

from support import FFI, pinfold  # noqa: F401  (it finds the package)

from pinfold import _library, _shared


class Layout(unittest.TestCase):
    def test_each_field_lies_where_c_has_it(self):
        structs = {"pinfold_config": _library.Config, "pinfold_task_settings": _library.TaskSettings}
        structs["pinfold_submit_settings"] = _library.SubmitSettings
        structs["pinfold_channel_settings"] = _library.ChannelSettings
        structs["pinfold_broadcast_settings"] = _shared.BroadcastSettings
        structs["pinfold_case"] = _shared.Case
        lines, expected = [], []
        for name, struct in structs.items():
            for field, _ in struct._fields_:
                place = getattr(struct, field)
                lines.append(f'printf("%zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
                expected.append(f"{place.offset} {place.size}")
        program = "#include <pinfold.h>\n#include <stdio.h>\nint main(void) {" + "".join(lines) + "return 0; }"
        with tempfile.TemporaryDirectory() as directory:
            source, binary = os.path.join(directory, "layout.c"), os.path.join(directory, "layout")
            with open(source, "w") as file:
                file.write(program)
            subprocess.run(["cc", "-I", os.path.join(FFI, "include"), source, "-o", binary], check=True)
            told = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
        self.assertEqual(told.splitlines(), expected)


if __name__ == "__main__":
    unittest.main()
