# Freezes and thaws IRIS from inside its container: sh -c THIS ha-iris freeze TOKEN SECONDS, or ... thaw TOKEN.
#
# Nothing but a POSIX shell, iris, sleep, mv and rm is used. The exit codes are read by shell.go. Those of IRIS' class methods: 5 is success
# and 3 failure, and IsWDSuspendedExt answers 5 for frozen and 3 for not (CLS Backup.General).
#
# A file tells whose freeze it is, how far, and who stands ready to thaw it: "freezing PID DEADMAN" or "frozen 0 DEADMAN". It is gone once
# nothing of this freeze can be left: first its process had ended, and then IRIS was not frozen. In the other order the freeze may come into
# force between the two. The dead man outlives the connection and whoever holds it.
set -u
marks=${TMPDIR:-/tmp}/ha-iris-freeze
mark=$marks.$2

call() { iris session IRIS -U%SYS "##Class(Backup.General).$1()" </dev/null; }

# suspended returns 0 when the write daemon is suspended, 1 when it is not, 2 when IRIS does not say.
suspended() {
  call IsWDSuspendedExt >/dev/null 2>&1
  case $? in 5) return 0 ;; 3) return 1 ;; *) return 2 ;; esac
}

# thaws thaws, and returns 0 when IRIS says that it is no longer frozen. -B is for logins that hang, or for which there is no licence.
thaws() {
  call ExternalThaw
  [ $? = 5 ] || iris session IRIS -B -U%SYS '##Class(Backup.General).ExternalThaw()' </dev/null
  suspended
  [ $? = 1 ]
}

# write replaces the file in one step: whoever reads it finds a whole line.
write() { echo "$1" >"$mark.new" && mv -f "$mark.new" "$mark"; }

# over says that a freeze that has begun can no longer come into force: it has ended, or never began.
over() { [ "$1" = frozen ] || ! kill -0 "$2" 2>/dev/null; }

# dead_man ends what is left of the freeze after its time, and tries for ten minutes more.
dead_man() {
  trap '' HUP INT
  sleep "$1"
  rounds=0
  while [ $rounds -lt 300 ] && read -r state pid _ <"$mark"; do
    over "$state" "$pid"
    ended=$?
    suspended
    case $ended/$? in
    */0) thaws ;;
    0/1) rm -f "$mark" ;;
    esac
    rounds=$((rounds + 1))
    sleep 2
  done
}

# freezes becomes the process that freezes. It is known, and the dead man there, before it can.
freezes() {
  self=$(exec sh -c 'echo $PPID') # $$ is the parent's.
  [ -n "$self" ] && write "freezing $self" || exit 2
  # One process more in between, so that IRIS' has no child that it does not know.
  (
    # Not as redirections of the function: the shell would keep the old files open beside them, and the connection with them.
    (
      exec </dev/null >/dev/null 2>&1
      dead_man "$1"
    ) &
    kill -0 $! && write "freezing $self $!"
  ) || { rm -f "$mark" && exit 2; }
  exec iris session IRIS -U%SYS '##Class(Backup.General).ExternalFreeze()' </dev/null
}

# abandoned collects, in left, the files of earlier runs whose freeze is over and whose dead man is gone: killed, or done with trying. It fails
# where another one may still be at work.
abandoned() {
  left=
  for file in "$marks".*; do
    case $file in *[!A-Za-z0-9./_-]*) continue ;; esac
    read -r state pid dead 2>/dev/null <"$file" || continue
    [ -n "$dead" ] || continue # No dead man, no freeze.
    over "$state" "$pid" && ! kill -0 "$dead" 2>/dev/null || return 1
    left="$left $file"
  done
}

freeze() {
  abandoned || left=
  suspended
  case $?/$left in
  1/?*) rm -f $left ;;
  0/?*)
    thaws || { echo "IRIS is still frozen, by an earlier run" && return 4; }
    echo "an earlier run had left IRIS frozen: thawed"
    rm -f $left
    ;;
  0/) echo "IRIS is frozen already, by somebody else" && return 4 ;;
  2/*) echo "IRIS does not say whether it is frozen" && return 2 ;;
  esac
  (freezes "$1") &
  wait $!
  code=$?
  suspended
  case $code/$? in
  5/0) read -r state pid dead <"$mark" && write "frozen 0 $dead" && return 5 ;;
  3/1) rm -f "$mark" && return 3 ;;
  esac
  echo "the freeze ended with code $code, and IRIS does not say what it should then"
  return 2
}

thaw() {
  held=no
  if read -r state pid _ 2>/dev/null <"$mark"; then
    held=freezing
    over "$state" "$pid" && held=over
  fi
  suspended
  case $held/$? in
  no/0) echo "IRIS is frozen, by somebody else" && return 4 ;;
  no/1) return 7 ;;
  over/0) thaws && rm -f "$mark" && return 5 ;;
  over/1) rm -f "$mark" && return 7 ;;
  freezing/0) thaws && return 8 ;;
  freezing/1) return 8 ;;
  *) echo "IRIS does not say whether it is frozen" && return 2 ;;
  esac
  echo "IRIS is still frozen"
  return 6
}

case $1 in
freeze) freeze "$3" ;;
thaw) thaw ;;
*) echo "what to do: got $1, want freeze or thaw" && exit 64 ;;
esac
