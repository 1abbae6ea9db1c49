! As features.c, by the Fortran module, and what becomes of faulty calls. Arguments: MODEL DIRECTORY CHANNEL alone|mpi VERSION.
module told
  use, intrinsic :: iso_c_binding
  use lockstep
  implicit none
  integer :: notes = 0

contains

  subroutine note(user, text, warning) bind(c)
    type(c_ptr), value :: user, text
    integer(c_int), value :: warning
    if (c_associated(user) .or. len(lockstep_text(text)) == 0 .or. warning < 0) error stop 1
    notes = notes + 1
  end subroutine

  function no_loss(user, call) bind(c) result(status)
    type(c_ptr), value :: user
    type(lockstep_loss_call), intent(inout) :: call
    integer(c_int) :: status
    status = 42
    if (c_associated(user) .or. call%samples < 1) status = 43
  end function

end module

program features
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use mpi
  use lockstep
  use told
  implicit none

  integer, parameter :: samples = 12
  logical :: with_mpi
  integer :: ierror, i
  real(real64), target :: x(5, samples), y(3, samples)

  with_mpi = argument(4) == "mpi"
  if (with_mpi) call MPI_Init(ierror)
  x = reshape([(sin(real(i, real64)), i = 1, size(x))], shape(x))
  y = reshape([(cos(real(i, real64)), i = 1, size(y))], shape(y))
  call require(lockstep_version() == argument(5) .and. lockstep_abi() == 1, "the version")
  call what_is_written_is_what_is_computed_with()
  call a_rate_can_be_set()
  call what_is_saved_is_gone_on_from()
  call faulty_calls_say_what_is_wrong()
  print '(i0, " notes")', notes
  if (with_mpi) call MPI_Finalize(ierror)

contains

  subroutine what_is_written_is_what_is_computed_with()
    type(lockstep_trainer) :: trainer
    type(lockstep_tensor_info) :: info
    real(real32), target :: half(5, 16)
    real(real64), target :: read(5, 16), zeros(16, 3), bias(3), said(3, samples)
    real(real64) :: loss, expected
    call make(trainer)
    call require(trainer%tensor_count() == 6, "the number of tensors")
    call run(trainer, trainer%tensor(1, info))
    call require(info%name == "0.weight" .and. info%trained .and. info%type == lockstep_float64, "0.weight")
    call require(all(info%sizes == [5, 16]), "the sizes of 0.weight")
    call run(trainer, trainer%tensor(6, info))
    call require(info%name == "4.bias" .and. all(info%sizes == [3]), "4.bias")
    half = 0
    half(1, 2) = 0.5
    call run(trainer, trainer%write("0.weight", lockstep_view(half)))
    call run(trainer, trainer%read("0.weight", lockstep_view(read)))
    call require(all(read == half), "what was written is not what is read")
    zeros = 0
    bias = [1, 2, 3]
    call run(trainer, trainer%write("4.weight", lockstep_view(zeros)))
    call run(trainer, trainer%write("4.bias", lockstep_view(bias)))
    call run(trainer, trainer%predict([lockstep_view(x)], [lockstep_view(said)]))
    call require(all(said == spread(bias, 2, samples)), "what it predicts")
    call run(trainer, trainer%evaluate([lockstep_view(x)], lockstep_view(y)))
    call run(trainer, trainer%metric("loss", loss))
    expected = sum((y - spread(bias, 2, samples))**2) / size(y)
    call require(abs(loss - expected) < 1e-12 * expected, "the loss")
    call trainer%free()
  end subroutine

  subroutine a_rate_can_be_set()
    type(lockstep_trainer) :: trainer
    type(lockstep_step_result) :: done
    real(real64), target :: before(5, 16), after(5, 16)
    call make(trainer)
    call run(trainer, trainer%read("0.weight", lockstep_view(before)))
    call run(trainer, trainer%set_learning_rate(0.0_real64))
    call run(trainer, trainer%step_channel(done))
    call run(trainer, trainer%read("0.weight", lockstep_view(after)))
    call require(done%learning_rate == 0 .and. done%batch_size == 16 .and. all(before == after), "a rate of 0")
    call run(trainer, trainer%set_learning_rate(-1.0_real64))
    call run(trainer, trainer%step_channel(done))
    call run(trainer, trainer%read("0.weight", lockstep_view(after)))
    call require(done%learning_rate == 0.01_real64 .and. any(before /= after), "the schedule's rate")
    call trainer%free()
  end subroutine

  subroutine what_is_saved_is_gone_on_from()
    type(lockstep_trainer) :: trainer, other
    real(real64), target :: weight(5, 16), others_weight(5, 16)
    real(real64) :: loss, others_loss
    integer(int64) :: step
    integer :: k
    call make(trainer)
    call make(other)
    do k = 1, 3
      call run(trainer, trainer%step_channel())
    end do
    call run(trainer, trainer%save(argument(2)//"/checkpoints"))
    call require(other%resume(argument(2)//"/nothing") == lockstep_end, "nothing is there to resume from")
    call run(other, other%resume(argument(2)//"/checkpoints", step))
    call require(step == 3 .and. other%steps() == 3, "resumed")
    do while (trainer%step_channel() == lockstep_ok)
      call run(other, other%step_channel())
    end do
    call require(other%step_channel() == lockstep_end, "the other has steps left")
    call require(trainer%steps() == 8 .and. other%steps() == 8, "60 samples by 16, twice")
    call run(trainer, trainer%read("0.weight", lockstep_view(weight)))
    call run(other, other%read("0.weight", lockstep_view(others_weight)))
    call run(trainer, trainer%evaluate_channel("validation"))
    call run(trainer, trainer%metric("loss", loss))
    call run(other, other%evaluate_channel("validation"))
    call run(other, other%metric("loss", others_loss))
    call require(all(weight == others_weight) .and. loss == others_loss .and. loss > 0, "a training that was resumed is another")
    call run(trainer, trainer%export(argument(2)//"/model"))
    call trainer%free()
    call other%free()
  end subroutine

  ! Each returns its status, and the object has the text.
  subroutine faulty_calls_say_what_is_wrong()
    type(lockstep_options) :: options
    type(lockstep_trainer) :: trainer
    real(real64), target :: narrow(4, samples), nothing(3, samples)
    real(real64) :: value
    integer :: status
    call given(options)
    call check(options, options%set("learning_rat", "1"))
    status = trainer%new(options)
    call require(status == lockstep_input .and. index(options%error(), "learning_rate") > 0, options%error())
    call options%free()
    call given(options)
    if (trainer%new(options) /= lockstep_ok) call fail(options%error())
    call options%free()
    narrow = 1
    call refused(trainer, trainer%step([lockstep_view(narrow)], lockstep_view(y)), lockstep_input, "5")
    call require(trainer%error_on_all_ranks(), "an error of all ranks")
    call refused(trainer, trainer%step([lockstep_view(x)]), lockstep_input, "target")
    call refused(trainer, trainer%metric("joy", value), lockstep_input, "joy")
    call refused(trainer, trainer%read("0.wait", lockstep_view(narrow)), lockstep_input, "0.weight")
    call refused(trainer, trainer%write("0.weight", lockstep_view(narrow)), lockstep_input, "[16, 5]")
    call refused(trainer, trainer%evaluate_channel("test"), lockstep_input, "test")
    call refused(trainer, trainer%save("/proc/nowhere"), lockstep_input, "/proc/nowhere")
    value = 0
    narrow = 0
    nothing = value / narrow(1, 1)
    call refused(trainer, trainer%step([lockstep_view(x)], lockstep_view(nothing)), lockstep_not_finite, "loss")
    call run(trainer, trainer%step([lockstep_view(x)], lockstep_view(y)))
    call require(trainer%steps() == 1, "no faulty call was a step")
    call trainer%free()
    call options%new()
    call require(options%set("model", argument(1)) == lockstep_ok .and. options%set("precision", "fp64") == lockstep_ok, "options")
    if (with_mpi) call require(options%communicator(MPI_COMM_WORLD) == lockstep_ok, "the communicator")
    call require(options%loss(no_loss) == lockstep_ok, "the loss")
    if (trainer%new(options) /= lockstep_ok) call fail(options%error())
    call options%free()
    call refused(trainer, trainer%evaluate([lockstep_view(x)]), lockstep_callback, "returned 42")
    call trainer%free()
  end subroutine

  subroutine given(options)
    type(lockstep_options), intent(inout) :: options
    call options%new()
    call check(options, options%set("model", argument(1)))
    call check(options, options%set("loss", "mse"))
    call check(options, options%set("optimizer", "adamw"))
    call check(options, options%set("learning_rate", "0.01"))
    call check(options, options%set("precision", "fp64"))
    call check(options, options%set("threads_per_rank", "1"))
    call check(options, options%note(note))
    if (with_mpi) call check(options, options%communicator(MPI_COMM_WORLD))
  end subroutine

  subroutine make(trainer)
    type(lockstep_trainer), intent(inout) :: trainer
    type(lockstep_options) :: options
    call given(options)
    call check(options, options%set("epochs", "2"))
    call check(options, options%set("batch_size", "16"))
    call check(options, options%channel("train", argument(3)))
    call check(options, options%channel("validation", argument(3)))
    if (trainer%new(options) /= lockstep_ok) call fail(options%error())
    call options%free()
  end subroutine

  subroutine check(options, status)
    type(lockstep_options), intent(in) :: options
    integer, intent(in) :: status
    if (status /= lockstep_ok) call fail(options%error())
  end subroutine

  subroutine run(trainer, status)
    type(lockstep_trainer), intent(in) :: trainer
    integer, intent(in) :: status
    if (status /= lockstep_ok) call fail(trainer%error())
  end subroutine

  subroutine refused(trainer, status, expected, part)
    type(lockstep_trainer), intent(in) :: trainer
    integer, intent(in) :: status, expected
    character(*), intent(in) :: part
    if (status == expected .and. index(trainer%error(), part) > 0) return
    print '("status ", i0, ", expected ", i0, ": ", a)', status, expected, part
    call fail(trainer%error())
  end subroutine

  subroutine require(holds, what)
    logical, intent(in) :: holds
    character(*), intent(in) :: what
    if (.not. holds) call fail(what)
  end subroutine

  subroutine fail(message)
    character(*), intent(in) :: message
    print '(a)', message
    if (with_mpi) call MPI_Abort(MPI_COMM_WORLD, 1, ierror)
    error stop 1
  end subroutine

  function argument(place) result(value)
    integer, intent(in) :: place
    character(:), allocatable :: value
    character(4096) :: buffer
    call get_command_argument(place, buffer)
    value = trim(buffer)
  end function

end program
