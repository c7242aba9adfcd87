# Runs the integrity check inside of the copy: sh -c THIS ha-iris start, or ... result. The check outlives the connection that started it: of a
# large database it takes hours.
#
# The exit codes are read by shell.go. Nothing but a POSIX shell, iris, cat and mv is used. The check is the vendor's entry for programs, with one
# process, because the nodes have others' work too: CheckList^Integrity(outputglobal, dirlist, stopafteranyerror, listofglolist, maxproc); without
# a list it checks all databases, and $system.Status.IsOK says that it ran and found no errors. One error code alone, that of an integrity check
# with errors, says that it ran; another or several, that it may not have (GCDI, "Integrity Check API"). What the number is the vendor does not
# document, and a session knows no macros: shell.go looks whether errors are listed (flag 2 lists nothing else).
set -u
file=${TMPDIR:-/tmp}/ha-iris-integrity

check() {
  iris session IRIS -U%SYS <<'END'
set sc=$$CheckList^Integrity(,,0,,1)
write !,"ha-iris integrity ",$system.Status.IsOK(sc)," ",$system.Status.GetErrorCodes(sc),!
do Display^Integrity(,2)
halt
END
}

# Not as redirections of the function: the shell would keep the old files open beside them, and the connection with them.
start() {
  [ -e "$file.pid" ] && return 5
  (
    exec </dev/null >/dev/null 2>&1
    check >"$file.out" 2>&1
    echo $? >"$file.new" && mv -f "$file.new" "$file.code"
  ) &
  echo $! >"$file.pid" && return 5
}

# result prints what the check has printed, once it has ended.
result() {
  if [ -e "$file.code" ]; then
    cat "$file.out"
    return 5
  fi
  read -r pid <"$file.pid" && kill -0 "$pid" 2>/dev/null && return 6
  [ -e "$file.code" ] && return 6 # It has ended between the two looks.
  return 7
}

case $1 in
start) start ;;
result) result ;;
*) echo "what to do: got $1, want start or result" && exit 64 ;;
esac
